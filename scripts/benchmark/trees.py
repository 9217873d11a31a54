"""A process tree as every session has one, in which nothing is done: what making and ending it takes.

``python -P -m scripts.benchmark.trees`` prints the processor time of one, in seconds. It forks, so it is a
process of its own, and imports next to nothing: a fork takes the longer the more its process has in memory.
"""

from __future__ import annotations

import gc
import os
import signal

from sandbox.linux import namespaces

_NAMESPACES = (
    namespaces.NEWUSER | namespaces.NEWPID | namespaces.NEWNS | namespaces.NEWUTS | namespaces.NEWIPC
    | namespaces.NEWNET
)  # fmt: skip
_TREES = 500


def _make_tree() -> None:
    """Fork into namespaces, have that fork, and when both are there kill the first, which ends both."""
    ready, says_ready = os.pipe()
    first, pidfd = namespaces.fork_into(_NAMESPACES)
    if first == 0:
        if os.fork() == 0:
            os.write(says_ready, b".")
        signal.pause()
    try:
        os.read(ready, 1)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(first, 0)
    finally:
        for descriptor in (ready, says_ready, pidfd):
            os.close(descriptor)


def _time_trees() -> float:
    gc.freeze()  # as a zygote does: what is collected is written to, and copied by every fork
    before = sum(os.times()[:4])
    for _ in range(_TREES):
        _make_tree()
    return (sum(os.times()[:4]) - before) / _TREES


if __name__ == "__main__":
    print(_time_trees())
