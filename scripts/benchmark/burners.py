"""Processes that do nothing but use up processor time, for as long as a block lasts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_BURN = "while True: pass"
_GONE_SECONDS = 30.0


@contextmanager
def burners(number: int) -> Iterator[None]:
    """Keep `number` processes busy. Only the ones started here are ever signalled, each by its own pid."""
    command = [sys.executable, "-I", "-S", "-c", _BURN]
    with ExitStack() as stack:
        for _ in range(number):
            stack.callback(_end, subprocess.Popen(command, stdin=subprocess.DEVNULL))
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(_GONE_SECONDS)
