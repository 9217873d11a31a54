"""Mounting: the classic call for new file systems, the descriptor-based calls for trees.

A tree taken by `clone_tree` is a mount that hangs nowhere yet. It is reached by its descriptor, so the
directories above it need not be accessible to whoever attaches it: that is how an interpreter below a private
home directory gets into a cage.
"""

from __future__ import annotations

import ctypes
import os

from sandbox.linux import calls

RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
NOEXEC = 0x8
REMOUNT = 0x20
BIND = 0x1000
MOVE = 0x2000
REC = 0x4000
PRIVATE = 0x40000

MNT_DETACH = 2

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_RECURSIVE = 0x8000
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4
_ATTR_IDMAP = 0x100000


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """`mount(2)`."""
    calls.check(
        calls.libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if data is None else data.encode(),
        ),
        f"mount {kind or source} on {target}",
    )


def make_private() -> None:
    """Cut the propagation of every mount of this namespace in both directions."""
    mount("none", "/", flags=REC | PRIVATE)


def bind(source: str, target: str) -> None:
    """Make the directory or file `source` appear at `target` too."""
    mount(source, target, flags=BIND)


def unmount(target: str) -> None:
    """Detach the mount at `target` from the tree at once."""
    calls.check(calls.libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """`pivot_root(2)`."""
    calls.call(
        calls.number("pivot_root"), os.fsencode(new_root), os.fsencode(put_old), what=f"pivot_root {new_root}"
    )


def clone_tree(path: str) -> int:
    """Return a descriptor of a detached copy of the mount tree at `path`; the caller closes it."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return calls.call(calls.OPEN_TREE, calls.AT_FDCWD, os.fsencode(path), flags, what=f"open_tree {path}")


def attach_tree(tree: int, target: str) -> None:
    """Mount what `clone_tree` returned at `target`."""
    calls.call(
        calls.MOVE_MOUNT,
        tree,
        b"",
        calls.AT_FDCWD,
        os.fsencode(target),
        _MOVE_MOUNT_F_EMPTY_PATH,
        what=f"move_mount to {target}",
    )


def restrict_tree(tree: int, attributes: int) -> None:
    """Set `ATTR_*` flags on every mount of a detached tree."""
    _set_attributes(tree, _MountAttr(attr_set=attributes))


def map_ids(tree: int, user_namespace: int) -> None:
    """Have what is in a detached tree belong to others, for whoever reaches it through this descriptor.

    An owner, as the tree's file system numbers it, becomes whom `user_namespace` maps that number to. Once
    for each tree.

    Raises:
        OSError: EINVAL where the kernel cannot do that with this file system: tmpfs needs Linux 6.3.
    """
    _set_attributes(tree, _MountAttr(attr_set=_ATTR_IDMAP, userns_fd=user_namespace))


def _set_attributes(tree: int, wanted: _MountAttr) -> None:
    calls.call(
        calls.MOUNT_SETATTR,
        tree,
        b"",
        _AT_EMPTY_PATH | _AT_RECURSIVE,
        ctypes.byref(wanted),
        ctypes.c_size_t(ctypes.sizeof(wanted)),
        what="mount_setattr",
    )
