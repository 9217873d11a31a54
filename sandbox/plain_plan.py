"""The plan of a cage without namespaces: nothing is mounted, so what may be read is said to Landlock.

What `sandbox.cage_plan` puts at neutral paths stays where it is here, under the host's names. Third-party
packages are linked into one folder, so that only those that the profile lets in can be imported. What a mask
hides there is left out here: around a masked folder every neighbour is allowed by name, and the names of the
rest can be listed, not their contents.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from sandbox.errors import Unsupported
from sandbox.profile import Profile

_OF_ETC = ("/etc/ld.so.cache", "/etc/alternatives")
_WRITABLE_DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")


def refuse_loopback(profile: Profile, tier: str) -> None:
    """Raise Unsupported for a profile that wants a network of its own."""
    if profile.network == "loopback":
        msg = (
            f"profile {profile.name!r} wants a loopback, which the tier {tier!r} cannot give: "
            "it has no network namespaces; use the tier 'full'"
        )
        raise Unsupported(msg)


def paths_to_allow(trees: Iterable[str], masks: Iterable[str], folder: str) -> dict[str, list[str]]:
    """Return what Landlock shall allow.

    Args:
        trees: what is to be read.
        masks: folders in them that are not.
        folder: the cage's.
    """
    listed: list[str] = []
    read: list[str] = []
    hidden = [os.path.realpath(mask) for mask in masks]
    for tree in dict.fromkeys(map(os.path.realpath, trees)):
        inside = [mask for mask in hidden if mask.startswith(tree + "/")]
        if inside:
            listed.append(tree)
        read += _around(tree, inside)
    read += [path for path in (*_OF_ETC, "/dev/zero") if os.path.exists(path)]
    read += [f"{folder}/library", f"{folder}/site-packages"]
    return {"list": listed, "read": read, "write": list(_WRITABLE_DEVICES), "own": []}


def _around(folder: str, masks: list[str]) -> list[str]:
    """Return what makes up `folder` without `masks`, in as few paths as may be."""
    if folder in masks:
        return []
    if not any(mask.startswith(folder + "/") for mask in masks):
        return [folder]
    with os.scandir(folder) as entries:
        names = sorted(entry.path for entry in entries if not entry.is_symlink())
    return [path for name in names for path in _around(name, masks)]


def require_reachable(paths: Iterable[str]) -> None:
    """See that users of the sessions' own can get at these paths.

    Raises:
        Unsupported: a folder on the way lets only its owner in.
    """
    for path in paths:
        parent = os.path.dirname(path)
        while parent != "/":
            if not os.stat(parent).st_mode & 0o001:
                msg = (
                    f"sessions have users of their own here, who cannot get at {path}, for {parent} is "
                    f"closed to others: chmod o+x {parent}, or set `python` to an interpreter elsewhere"
                )
                raise Unsupported(msg)
            parent = os.path.dirname(parent)


def plain_plan(plan: dict[str, Any], interpreter_prefix: str, executable: str, folder: str) -> dict[str, Any]:
    """Turn a plan with namespaces into one without.

    Args:
        plan: as `make_plan` made it.
        interpreter_prefix: where the interpreter is on the host.
        executable: the interpreter itself.
        folder: the cage's.

    Raises:
        Unsupported: what is to be read cannot be reached by sessions' users.
    """
    site = f"{folder}/site-packages"
    packages = {
        tree["target"]: tree["source"]
        for tree in plan["trees"]
        if tree["target"].startswith("/opt/site-packages")
    }
    system = [tree["source"] for tree in plan["trees"] if not tree["target"].startswith("/opt/")]
    masks = [_outside(mask, interpreter_prefix) for mask in plan["masks"]]
    paths = paths_to_allow([*system, interpreter_prefix, *packages.values()], masks, folder)
    if plan["privileged"]:
        require_reachable([*system, interpreter_prefix, *packages.values(), folder])
    environment = dict(plan["environment"])
    environment["PATH"] = ":".join(
        dict.fromkeys([os.path.dirname(executable), *environment["PATH"].split(":")[1:]])
    )
    if "LD_LIBRARY_PATH" in environment:
        environment["LD_LIBRARY_PATH"] = f"{interpreter_prefix}/lib"
    if packages:
        environment["PYTHONPATH"] = site
    copies = {
        target.replace("/opt/creche", f"{folder}/library", 1): source
        for target, source in plan["copies"].items()
        if target.startswith("/opt/creche/")
    }
    links = {target.replace("/opt/site-packages", site, 1): source for target, source in packages.items()}
    directories = {os.path.dirname(target) for target in copies}
    if site not in links:
        directories.add(site)
    return plan | {
        "namespaces": False,
        "folder": folder,
        "trees": [],
        "masks": [],
        "links": links,
        "files": {},
        "copies": copies,
        "directories": sorted(directories),
        "python": executable,
        "library": f"{folder}/library",
        "import_path": [f"{folder}/library", *([site] if packages else [])],
        "environment": environment,
        "paths": paths,
    }


def _outside(path: str, prefix: str) -> str:
    return prefix + path.removeprefix("/opt/python") if path.startswith("/opt/python/") else path
