"""What zygote, inits and lanes hold in common, and how it is kept that way.

A forked process shares its memory until somebody writes to it, page by page, and both sides count: what the
zygote writes to between two forks is no longer shared with the sessions that it has forked. Two things in
CPython write to everything. The garbage collector links the objects that it looks at: what is frozen it does
not look at. And every use of an object writes to its reference count, even to read a constant. From Python
3.12 on an object whose count has one certain value is immortal (PEP 683): it is counted no more, and never
freed. The interpreter makes None and its like so; here all that is alive before the first fork becomes so,
which halves what a session has for itself. An older interpreter goes on counting.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import types
from collections.abc import Iterable
from typing import Any

from sandbox.linux import calls

_IMMORTAL = 0xFFFFFFFF
"""`_Py_IMMORTAL_REFCNT` of CPython 3.12 and 3.13 on 64 bits; it fills the lower half of the count."""

_LARGE_PAGE = 2 << 20
_MADV_COLLAPSE = 25

_KNOWN = ((3, 12), (3, 13))
"""Versions in which the above is true. 3.14 has another layout."""


def share() -> None:
    """Make what is alive now stay shared with whatever this process forks. Switches the collector off.

    To be called once, when all has been imported and while there is one thread.
    """
    gc.collect()
    gc.disable()
    if can_be_immortal():
        for each in _everything():
            # The first word of an object, whose lower half comes first: both architectures are little-endian.
            ctypes.c_uint32.from_address(id(each)).value = _IMMORTAL
    gc.freeze()
    _use_large_pages()


def _use_large_pages() -> None:
    """Keep the heap in pages of 2 MiB, where the kernel can (Linux 6.1) and there is something in them.

    To fork is to copy the page tables, which with sympy and pandas imported took longer than all else. Of a
    large page one entry is copied. Whoever writes to it later still gets 4 KiB of his own, and no more.
    """
    with open("/proc/self/maps", encoding="utf-8") as file:
        rows = [row.split() for row in file]
    for addresses, access, _, _, _, *name in rows:
        if access == "rw-p" and name in ([], ["[heap]"]):
            start, end = (int(address, 16) for address in addresses.split("-"))
            for page in range(-(-start // _LARGE_PAGE) * _LARGE_PAGE, end - _LARGE_PAGE + 1, _LARGE_PAGE):
                calls.libc.madvise(ctypes.c_void_p(page), ctypes.c_size_t(_LARGE_PAGE), _MADV_COLLAPSE)


def can_be_immortal() -> bool:
    """Return whether this interpreter knows immortal objects in the form that is known here."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] in _KNOWN
        and "t" not in sys.abiflags  # free threading counts in another way
        and sys.getrefcount(None) == _IMMORTAL
    )


def _everything() -> list[Any]:
    """Return every object that can be found, except frames: those that run now end as usual."""
    found: list[Any] = []
    seen: set[int] = set()
    fresh: Iterable[Any] = gc.get_objects()
    while fresh:
        reached: list[Any] = []
        for each in fresh:
            if id(each) not in seen and type(each) is not types.FrameType:
                seen.add(id(each))
                found.append(each)
                reached += _held_by(each)
        fresh = reached
    return found


def _held_by(holder: Any) -> list[Any]:
    if type(holder) is not types.CodeType:
        return gc.get_referents(holder)
    # The collector does not look into code, for it can be in no circle.
    return [
        holder.co_consts, holder.co_names, holder.co_name, holder.co_qualname, holder.co_filename,
        holder.co_linetable, holder.co_exceptiontable,
    ]  # fmt: skip
