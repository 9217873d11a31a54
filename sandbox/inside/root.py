"""A session's own root: what its cage shows, seen through overlay file systems that are the session's alone.

A bind mount shows the same inode to every session, to the zygote and to the host. Whatever the kernel hangs
on an inode would tell one of another, though nobody may write: locks of records and of whole files. An
overlay without an upper layer is as read-only as what lies below it, and has inodes of its own; the pages in
memory stay those of the files below, so nothing is there twice.

The layers lie in the cage's /tmp, where the zygote needs nothing: a view of the root without what is mounted
on it, each tree that has a masked folder as it was before, and an empty folder, which hides what is masked
and is the second layer that an overlay must have. An overlay does not cross mounts, and the kernel makes none
of a folder below which others are mounted, so there is one for each tree.

What an overlay cannot give is a device that opens. Devices stay shared: see `sandbox.inside.guard`.
"""

from __future__ import annotations

import os
from typing import Any

from sandbox.linux import mounts, namespaces, privileges

LAYERS = "/tmp"
EMPTY = f"{LAYERS}/empty"
_NEW_ROOT = "/run"


def add_layers(root: str, spec: dict[str, Any]) -> None:
    """Put the layers into the cage that is being built at `root`, before anything in it is masked."""
    layers = root + LAYERS
    options = "mode=755,size=64k,nr_inodes=64"
    mounts.mount("creche-layers", layers, "tmpfs", mounts.NOSUID | mounts.NODEV, options)
    os.mkdir(root + EMPTY)
    os.mkdir(f"{layers}/root")
    mounts.bind(root, f"{layers}/root")
    for index, target in _masked(spec):
        os.mkdir(f"{layers}/{index}")
        tree = mounts.clone_tree(root + target)
        mounts.attach_tree(tree, f"{layers}/{index}")
        os.close(tree)
    read_only = mounts.REMOUNT | mounts.BIND | mounts.RDONLY | mounts.NOSUID
    mounts.mount("none", f"{layers}/root", flags=read_only)
    mounts.mount("none", layers, flags=read_only | mounts.NODEV)


def layers_of(spec: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a session's root is made of: where in it, and which folder of the cage is seen there."""
    shown = {"": f"{LAYERS}/root", **{tree["target"]: tree["target"] for tree in spec["trees"]}}
    shown |= {target: f"{LAYERS}/{index}" for index, target in _masked(spec)}
    shown |= dict.fromkeys(spec["masks"], EMPTY)
    return list(shown.items())


def _masked(spec: dict[str, Any]) -> list[tuple[int, str]]:
    """Return the trees in which something is masked, numbered."""
    targets = [tree["target"] for tree in spec["trees"]]
    return [
        (index, target)
        for index, target in enumerate(targets)
        if any(mask.startswith(f"{target}/") for mask in spec["masks"])
    ]


def enter(layers: list[tuple[str, str]]) -> None:
    """Assemble a root in this process's own mount namespace, and make it the root.

    The cage's stays below it, out of reach: to drop it would be to wait for a grace period of the kernel's.
    """
    for target, shown in layers:
        if shown == EMPTY:
            mounts.bind(EMPTY, _NEW_ROOT + target)
            continue
        # Files and folders of one overlay shall look like those of one file system: hence xino.
        options = f"lowerdir={shown}:{EMPTY},xino=auto"
        flags = mounts.RDONLY | mounts.NOSUID | mounts.NODEV
        mounts.mount("creche-root", _NEW_ROOT + target, "overlay", flags, options)
    mounts.mount("/dev", f"{_NEW_ROOT}/dev", flags=mounts.BIND | mounts.REC)
    os.chdir(_NEW_ROOT)
    mounts.mount(".", "/", flags=mounts.MOVE)
    os.chroot(".")


def why_not(layers: list[tuple[str, str]], proc: int, user: int) -> str:
    """Try in a child process whether a session can have a root of its own; return what was refused, or ''.

    Args:
        layers: what it shall be made of.
        proc: descriptor of a /proc in which the child can be found.
        user: the session's user id, as seen inside.
    """
    mapped_read, mapped_write = os.pipe()
    told_read, told_write = os.pipe()
    pid, pidfd = namespaces.fork_into(namespaces.NEWUSER | namespaces.NEWNS)
    if pid == 0:
        said = "it died"
        try:
            os.close(mapped_write)  # or it would wait for itself when its ids cannot be mapped
            if os.read(mapped_read, 1):
                privileges.become(user, user)
                enter(layers)
                said = ""
        except OSError as error:
            said = str(error)
        finally:
            os.write(told_write, said.encode())
            os._exit(0)
    os.close(told_write)
    try:
        namespaces.write_maps(proc, str(pid), user, 0, 1)
        os.write(mapped_write, b"m")
        return os.read(told_read, 4096).decode()
    finally:
        for descriptor in (mapped_read, mapped_write, told_read, pidfd):
            os.close(descriptor)
        os.waitpid(pid, 0)
