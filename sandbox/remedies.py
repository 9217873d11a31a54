"""How to get what is missing, in words that can be pasted: one remedy for each kind of place to run in.

The files under ``deploy/`` are those of the source tree; `docs/operating.md` shows them together.
"""

from __future__ import annotations

import errno
import os

from sandbox import host

_SCOPE = "systemd-run --user --scope -p Delegate=yes creche serve"
_SCOPE_OF_ROOT = "systemd-run --scope -p Delegate=yes creche serve"
_DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, "
    f"log in again, then: {_SCOPE}"
)

_SYSTEM_CALLS: dict[host.Container, str] = {
    "docker": "docker run --security-opt seccomp=deploy/seccomp.json …",
    "podman": "podman run --security-opt seccomp=deploy/seccomp.json …",
    "kubernetes": (
        "copy deploy/seccomp.json to /var/lib/kubelet/seccomp/creche.json on the node and set "
        "securityContext.seccompProfile to {type: Localhost, localhostProfile: creche.json}"
    ),
    "": (
        "in a container: docker run --security-opt seccomp=deploy/seccomp.json …; "
        "in a systemd unit: drop SystemCallFilter=, RestrictNamespaces= and ProtectHostname="
    ),
}
_SECURITY_PROFILE: dict[host.Container, str] = {
    "docker": "sudo apparmor_parser -r deploy/apparmor && docker run --security-opt apparmor=creche …",
    "podman": "sudo apparmor_parser -r deploy/apparmor && podman run --security-opt apparmor=creche …",
    "kubernetes": (
        "load deploy/apparmor on the node (apparmor_parser -r) and set "
        "securityContext.appArmorProfile to {type: Localhost, localhostProfile: creche}"
    ),
    "": "sudo apparmor_parser -r deploy/apparmor && aa-exec -p creche -- creche serve",
}
_PROC: dict[host.Container, str] = {
    "docker": "docker run --security-opt systempaths=unconfined …",
    "podman": "podman run --security-opt unmask=ALL …",
    "kubernetes": "set securityContext.procMount: Unmasked, which needs hostUsers: false in the pod",
    "": "in a container: docker run --security-opt systempaths=unconfined …; elsewhere unmount them",
}
_READ_ONLY_GROUPS: dict[host.Container, str] = {
    "docker": "docker run --security-opt writable-cgroups=true … (Docker 28 or later with cgroup version 2)",
    "podman": "podman run --security-opt unmask=/sys/fs/cgroup … (with cgroup version 2)",
    "kubernetes": (
        "have the runtime mount them writable: cgroup_writable = true in containerd's configuration, "
        "or the annotation io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw with CRI-O"
    ),
    "": "sudo mount -o remount,rw /sys/fs/cgroup",
}
_BOUND_ALL = "bound all sessions together by the container's own limit: "
_OTHERS_GROUPS: dict[host.Container, str] = {
    "docker": f"{_BOUND_ALL}docker run --memory 8g …",
    "podman": f"{_BOUND_ALL}podman run --memory 8g …",
    "kubernetes": f"{_BOUND_ALL}resources.limits.memory",
}


def for_system_calls() -> str:
    """Return how to get a seccomp profile that lets cages be built."""
    return _SYSTEM_CALLS[host.container()]


def for_security_profile() -> str:
    """Return how to get an AppArmor profile that lets cages be built."""
    return _SECURITY_PROFILE[host.container()]


def for_proc() -> str:
    """Return how to get a /proc over which nothing is mounted."""
    return _PROC[host.container()]


def for_control_groups(why_not: str) -> str:
    """Return how to get control groups, from what `sandbox.cgroups` says is missing."""
    if os.strerror(errno.EROFS) in why_not:
        return _READ_ONLY_GROUPS[host.container()]
    if host.container():
        return _OTHERS_GROUPS[host.container()]
    if os.geteuid() == 0:
        return _SCOPE_OF_ROOT
    return _DELEGATE if "controller" in why_not else _SCOPE
