"""From the policy to a BPF program: compiled by libseccomp, once per set of options, by the server.

It travels to the sessions as finished bytes, which `sandbox.linux.seccomp` loads there.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Any

from sandbox.errors import Unsupported
from sandbox.syscall_policy import Locks, rules


def _libseccomp() -> Any:
    try:
        # It loads libseccomp.so when it is imported, and must fail as an error of ours.
        import pyseccomp  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]
    except (ImportError, OSError, RuntimeError) as error:
        msg = (
            f"libseccomp could not be loaded ({error}); the tier needs it: "
            "install the package libseccomp2 (Debian, Ubuntu) or libseccomp (Fedora, Alpine, Arch)"
        )
        raise Unsupported(msg) from None
    return pyseccomp


@functools.cache
def compile_policy(
    *,
    loopback: bool,
    memory_cgroup: bool,
    machine: str | None = None,
    own_network: bool = True,
    own_files: bool = True,
    locks: Locks = "own",
) -> bytes:
    """Return the policy as a BPF program.

    Args:
        loopback: allow IPv4 and IPv6 sockets, for a session whose network has a loopback.
        memory_cgroup: whether a control group counts the session's memory.
        own_network: whether sessions have network namespaces; without, there are no sockets but pairs.
        own_files: whether all files that a session's user owns are the session's.
        locks: whose inodes sessions can lock; see `sandbox.syscall_policy.Locks`.
        machine: the architecture, as `uname` names it; None for this machine's.

    Raises:
        Unsupported: libseccomp is not there, or may not ask the kernel.
    """
    lib = _libseccomp()
    policy = lib.SyscallFilter(defaction=lib.ERRNO(errno.ENOSYS))
    policy.set_attr(lib.Attr.CTL_NNP, 0)  # set by the far side itself, before it loads this
    try:
        policy.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)
    except OSError:
        msg = "a filter refuses seccomp(2), by which libseccomp asks what the kernel can do; let it be called"
        raise Unsupported(msg) from None
    # A binary tree instead of a list: a filter that is loaded is run once for every call there is.
    policy.set_attr(lib.Attr.CTL_OPTIMIZE, 2)
    architecture = lib.Arch.NATIVE if machine is None else getattr(lib.Arch, machine.upper())
    if not policy.exist_arch(architecture):
        policy.add_arch(architecture)
        policy.remove_arch(lib.Arch.NATIVE)
    for refusal, name, *conditions in rules(
        loopback=loopback,
        memory_cgroup=memory_cgroup,
        own_network=own_network,
        own_files=own_files,
        locks=locks,
    ):
        if lib.resolve_syscall(architecture, name) >= 0:
            action = lib.ALLOW if refusal is None else lib.ERRNO(refusal)
            compared = (
                lib.Arg(place, getattr(lib, comparison), *values) for place, comparison, *values in conditions
            )
            policy.add_rule(action, name, *compared)
    with os.fdopen(os.memfd_create("creche-filter"), "w+b") as file:
        policy.export_bpf(file)
        file.seek(0)
        return file.read()
