"""Keeping exception groups inside.

A nursery wraps whatever leaves it in a group. Where a nursery is a private detail of a context manager, its
user must see the exception that happened, not the wrapping.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import trio


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            found += _leaves(cast("BaseExceptionGroup[BaseException]", each))
        else:
            found.append(each)
    return found


@contextmanager
def bare_exceptions() -> Generator[None]:
    """Let the first exception of a group out bare; the others stay in the group, which becomes its context.

    A cancellation among others gives way to them, as it does in a nursery.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        first = next((leaf for leaf in leaves if not isinstance(leaf, trio.Cancelled)), leaves[0])
        if len(leaves) == 1:
            context, first.__context__ = first.__context__, None
            try:
                raise first
            finally:
                first.__context__ = context
        raise first from group
