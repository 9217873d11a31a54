"""From a `Profile` to the exact contents of a cage: what is mounted where, copied, linked, set.

The plan is plain data, made by the server before any privilege is used, and carried out by
`sandbox.inside.cage`. What a session can read is exactly what is listed here:

==================================  =====================================================================
/usr (and /bin, /lib… as they are)  the host's, read-only: shells, tools, shared libraries
/opt/python                         the interpreter, where it does not live below /usr; its own
                                    site-packages are masked, for they may hold anything
/opt/site-packages                  what the profile lets in, one mount per package, or one folder; copies of
                                    modules of one file, and of what tells a distribution's version
/opt/creche                         copies of our far side, no more than it needs
/etc                                a handful of files made here; nothing of the host's but the
                                    dynamic linker's cache and the alternatives links
/dev                                null, zero, full, random, urandom, links to the standard streams
/proc                               the session's own, processes only
==================================  =====================================================================
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs

import sandbox
from sandbox import reach
from sandbox.errors import Unsupported
from sandbox.ids import IDS, OUTSIDE_IDS, Ids
from sandbox.interpreter import Interpreter, find_interpreter
from sandbox.plain_plan import plain_plan, refuse_loopback
from sandbox.profile import Profile
from sandbox.syscall_filter import compile_policy
from sandbox.syscall_policy import LOCKS, Locks
from sandbox.tiers import MEANS, Tier

LIBRARY = "/opt/creche"
PYTHON = "/opt/python"
SITE_PACKAGES = "/opt/site-packages"

_PATHS: dict[str, list[str]] = {
    "list": [],
    "read": ["/", "/dev", "/proc"],  # an ordinary user's init would let its files there be written to
    # Not zero: mapped shared it is memory that belongs to no process, which the watchdog could not count.
    "write": ["/dev/null", "/dev/full", "/dev/random", "/dev/urandom"],
    "own": ["/workspace", "/tmp", "/dev/shm"],
}
"""What Landlock lets a session list, read, write to, and do anything with, where it has a root of its own."""

_FAR_SIDE = (
    "sandbox/__init__.py",
    "sandbox/frames.py",
    "sandbox/packets.py",
    "sandbox/inside",
    "sandbox/linux",
    "tools",
)


def _top_levels(distribution: str, found: dict[str, Path]) -> None:
    """Add what `distribution` and its requirements install at the top of site-packages: name to path."""
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        msg = (
            f"the profile lets in {distribution!r}, which is not installed beside the server; pip install it"
        )
        raise Unsupported(msg) from None
    marker = f"\0{installed.name}"
    if marker in found:
        return
    found[marker] = Path()
    for file in installed.files or ():
        top = file.parts[0]
        if top not in ("..", "__pycache__") and not top.endswith(".pth"):
            found[top] = Path(str(installed.locate_file(top)))
    for requirement in installed.requires or ():
        if "extra ==" not in requirement:
            name = requirement.partition(";")[0]
            for stop in " <>=!~[(":
                name = name.partition(stop)[0]
            try:
                metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue  # a requirement for another platform or version
            _top_levels(name, found)


def _site_packages(profile: Profile) -> dict[str, str]:
    """Return target → source of the profile's third-party packages."""
    if profile.site_packages is not None:
        if not Path(profile.site_packages).is_dir():
            msg = f"the profile's site_packages {profile.site_packages} is no directory"
            raise Unsupported(msg)
        return {SITE_PACKAGES: os.path.realpath(profile.site_packages)}
    found: dict[str, Path] = {}
    for distribution in profile.packages:
        _top_levels(distribution, found)
    return {
        f"{SITE_PACKAGES}/{name}": str(path)
        for name, path in sorted(found.items())
        if not name.startswith("\0") and path.exists()
    }


def _is_copied(package: str) -> bool:
    """Whether it is no mount: none of a session's own can be of a file, and each costs every session time."""
    return os.path.isfile(package) or package.endswith(".dist-info")


def _copies_of(packages: dict[str, str]) -> dict[str, str]:
    """Return target → source of every file of these."""
    return {
        target + file[len(source) :]: file
        for target, source in packages.items()
        for file in ([source] if os.path.isfile(source) else map(str, Path(source).rglob("*")))
        if os.path.isfile(file)
    }


def _far_side() -> dict[str, str]:
    """Return target → source of the modules that run inside."""
    top = Path(sandbox.__file__).parent.parent
    copies: dict[str, str] = {}
    for entry in _FAR_SIDE:
        path = top / entry
        files = sorted(path.glob("*.py")) if path.is_dir() else [path]
        for file in files:
            copies[f"{LIBRARY}/{file.relative_to(top)}"] = str(file)
    return copies


def _etc() -> dict[str, str]:
    return {
        "/etc/passwd": (
            "root:x:0:0::/nonexistent:/usr/sbin/nologin\ncreche:x:1000:1000::/workspace:/bin/bash\n"
        ),
        "/etc/group": "root:x:0:\ncreche:x:1000:\n",
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "/etc/hostname": "creche\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def environment(profile: Profile, interpreter_bin: str, library_path: str | None) -> dict[str, str]:
    """Return the whole environment of a session: nothing of the server's is in it."""
    variables = {
        "PATH": ":".join(dict.fromkeys([interpreter_bin, "/usr/local/bin", "/usr/bin", "/bin"])),
        "HOME": "/workspace",
        "USER": "creche",
        "LOGNAME": "creche",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the same actions give the same bytes, the order of a set included
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
    }
    # One thread each: sessions share the cores, and a thread in the zygote would make its forks unsafe.
    for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
        variables[f"{name}_NUM_THREADS"] = "1"
    if profile.packages or profile.site_packages:
        variables["PYTHONPATH"] = SITE_PACKAGES
    if library_path is not None:
        variables["LD_LIBRARY_PATH"] = library_path
    return variables


def make_plan(
    profile: Profile,
    *,
    ids: Ids | None,
    memory_cgroup: bool,
    landlock: int,
    tier: Tier = "full",
    folder: str = "",
    group: str = "",
) -> dict[str, Any]:
    """Return the specification that the keeper and the zygote carry out (JSON).

    Args:
        profile: what sessions start from.
        ids: what sessions get users of their own from; None where they share the server's. Without mappers
            they are root's, who builds the root before it makes a user namespace.
        memory_cgroup: a control group counts each session's memory.
        landlock: the highest Landlock ABI to use, 0 for none.
        tier: what sessions are confined by.
        folder: where a tier without namespaces keeps what is the cage's; unused otherwise.
        group: the version 2 control group for keeper and zygote, from which sessions are forked into theirs.

    Raises:
        Unsupported: the profile names something that is not here.
    """
    means = MEANS[tier]
    privileged = ids is not None and ids.mappers is None
    if not means.namespaces:
        refuse_loopback(profile, tier)
    interpreter = find_interpreter(profile.python)
    trees = [{"source": "/usr", "target": "/usr"}]
    links = {
        "/dev/fd": "/proc/self/fd",
        "/dev/stdin": "/proc/self/fd/0",
        "/dev/stdout": "/proc/self/fd/1",
        "/dev/stderr": "/proc/self/fd/2",
    }
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(name):
            links[name] = os.readlink(name)
        elif os.path.isdir(name):
            trees.append({"source": name, "target": name})
    prefix = interpreter.prefix
    if not prefix.startswith("/usr/") and prefix != "/usr":
        trees.append({"source": prefix, "target": PYTHON})
        prefix = PYTHON
    executable = prefix + interpreter.executable.removeprefix(interpreter.prefix)
    purelib = prefix + interpreter.purelib.removeprefix(interpreter.prefix)
    masks = [purelib] if _holds_packages(interpreter.purelib) else []
    packages = _site_packages(profile)
    copied = {name: path for name, path in packages.items() if means.namespaces and _is_copied(path)}
    trees += [{"source": packages[name], "target": name} for name in packages if name not in copied]
    copies = _far_side() | _copies_of(copied)
    if means.namespaces and ids is not None:
        _require_open(interpreter, packages.values())
    shared_library = any(Path(interpreter.prefix, "lib").glob("libpython3*.so*")) and prefix == PYTHON
    variables = environment(profile, os.path.dirname(executable), f"{PYTHON}/lib" if shared_library else None)
    if os.path.exists("/etc/ld.so.cache"):
        copies["/etc/ld.so.cache"] = "/etc/ld.so.cache"
    if os.path.isdir("/etc/alternatives"):
        with os.scandir("/etc/alternatives") as entries:
            links |= {entry.path: os.readlink(entry.path) for entry in entries if entry.is_symlink()}
    plan: dict[str, Any] = {
        "namespaces": True,
        "folder": "",
        "group": group,
        "privileged": privileged,
        "outside_ids": OUTSIDE_IDS,
        "ids": IDS,
        "subordinate": attrs.asdict(ids) if ids and ids.mappers else None,
        "trees": trees,
        "masks": masks,
        "links": links,
        "files": _etc(),
        "copies": copies,
        "directories": sorted(
            {"/dev/shm", "/proc", "/workspace", "/tmp", "/etc", "/opt", "/var", "/run", SITE_PACKAGES}
            | {os.path.dirname(path) for path in copies}
        ),
        "python": executable,
        "library": LIBRARY,
        "import_path": [LIBRARY, *([SITE_PACKAGES] if profile.packages or profile.site_packages else [])],
        "environment": variables,
        "preload": list(profile.preload),
        "rehearsal": profile.rehearsal,
        "handlers": [attrs.asdict(handler) for handler in profile.handlers],
        "loopback": profile.network == "loopback",
        "landlock": landlock if means.landlock else 0,
        "paths": _PATHS,
        "seccomp": {
            locks: _filter(profile, tier, locks, privileged=privileged, memory_cgroup=memory_cgroup)
            for locks in LOCKS
        },
    }
    if means.namespaces:
        return plan
    return plain_plan(plan, interpreter.prefix, interpreter.executable, folder)


def _require_open(interpreter: Interpreter, packages: Iterable[str]) -> None:
    closed = reach.of_sessions(interpreter, packages)
    if closed is not None:
        raise Unsupported(str(closed))


def _filter(profile: Profile, tier: Tier, locks: Locks, *, privileged: bool, memory_cgroup: bool) -> str:
    means = MEANS[tier]
    if not means.seccomp:
        return ""
    program = compile_policy(
        loopback=profile.network == "loopback",
        memory_cgroup=memory_cgroup,
        own_network=means.namespaces,
        own_files=means.namespaces or privileged,
        locks=locks,
    )
    return base64.b64encode(program).decode()


def _holds_packages(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False
