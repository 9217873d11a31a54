"""Seccomp profiles in Docker's JSON format, made into the filter that a container runtime would load."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyseccomp

OURS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "deploy" / "seccomp.json").read_text("utf-8"))
"""The profile that the project ships."""

_MASKED = "SCMP_CMP_MASKED_EQ"
_REFUSED = """
    acct add_key bpf clock_adjtime clock_settime create_module delete_module finit_module fsconfig fsmount
    fsopen fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
    kexec_file_load kexec_load keyctl lookup_dcookie mbind mount mount_setattr move_mount move_pages
    name_to_handle_at open_by_handle_at open_tree perf_event_open pivot_root process_madvise quotactl reboot
    request_key set_mempolicy setdomainname sethostname setns settimeofday swapoff swapon syslog umount2
    unshare userfaultfd vhangup
"""
_NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)


def refusal(names: str, number: int, *arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rule that these calls, with these arguments, are answered with an errno."""
    return {"names": names.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": number, "args": arguments}


DOCKER_DEFAULT: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        refusal(_REFUSED, errno.EPERM),
        *(
            refusal("clone", errno.EPERM, {"index": 0, "value": flag, "valueTwo": flag, "op": _MASKED})
            for flag in _NEW_NAMESPACES
        ),
        refusal("clone3", errno.ENOSYS),
    ],
}
"""What Docker's own profile refuses a container without CAP_SYS_ADMIN, and how. Kubernetes' RuntimeDefault
refuses the same. Theirs is a list of what is allowed; turned round, it need not be copied."""

PODMAN_DEFAULT: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        refusal("bpf fanotify_init perf_event_open quotactl setdomainname sethostname setns", errno.EPERM)
    ],
}
"""The part that matters here of what Podman's own profile refuses a container without CAP_SYS_ADMIN: it lets
namespaces and mounts be made, and no host name be given."""

_ACTIONS = {"SCMP_ACT_ALLOW": "ALLOW", "SCMP_ACT_KILL_PROCESS": "KILL_PROCESS"}
_COMPARISONS = {f"SCMP_CMP_{name}": name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")}


def _action(name: str, number: int | None) -> Any:
    if name == "SCMP_ACT_ERRNO":
        return pyseccomp.ERRNO(errno.EPERM if number is None else number)
    return getattr(pyseccomp, _ACTIONS[name])


def _argument(rule: Mapping[str, Any]) -> Any:
    values = (rule["value"], rule["valueTwo"]) if rule["op"] == _MASKED else (rule["value"],)
    return pyseccomp.Arg(rule["index"], getattr(pyseccomp, _COMPARISONS[rule["op"]]), *values)


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """Return the profile as a BPF program, for this machine's architecture."""
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    policy = pyseccomp.SyscallFilter(defaction=default)
    policy.set_attr(pyseccomp.Attr.CTL_NNP, 0)
    for group in profile["syscalls"]:
        action = _action(group["action"], group.get("errnoRet"))
        for name in group["names"]:
            if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0:
                policy.add_rule(action, name, *map(_argument, group.get("args", ())))
    with tempfile.TemporaryFile() as file:
        policy.export_bpf(file)
        file.seek(0)
        return file.read()
