"""Answers in the kernel's place which version of Landlock there is."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pyseccomp

_ASKING_FOR_THE_VERSION = 1


def supervise(version: int) -> None:
    """Return in a child of this process; the parent stays to answer it and all it starts, and ends with it.

    Needs no_new_privs.
    """
    policy = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    policy.set_attr(pyseccomp.Attr.CTL_NNP, 0)
    asking = pyseccomp.Arg(2, pyseccomp.EQ, _ASKING_FOR_THE_VERSION)
    policy.add_rule(pyseccomp.NOTIFY, "landlock_create_ruleset", asking)
    policy.load()
    child = os.fork()
    if child == 0:
        return
    questions, end = _listener(), os.pidfd_open(child)
    poller = select.poll()
    poller.register(questions, select.POLLIN)
    poller.register(end, select.POLLIN)
    while end not in (ready := [descriptor for descriptor, _ in poller.poll()]):
        if questions in ready:
            question = policy.receive_notify()
            policy.respond_notify(pyseccomp.NotificationResponse(0, 0, question.id, version))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _listener() -> int:
    """Return the descriptor on which the kernel asks; libseccomp keeps it to itself."""
    links = Path("/proc/self/fd").iterdir()
    return next(int(link.name) for link in links if "seccomp notify" in str(link.readlink()))
