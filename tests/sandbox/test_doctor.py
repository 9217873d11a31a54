"""What is taken away is missed by name, with the cause and a remedy: `creche doctor`, seen from outside."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox import host, remedies, subordinate
from sandbox.ids import Ids
from sandbox.linux import landlock
from tests.sandbox import deprived
from tests.sandbox.deprived import DOCKER_CAPABILITIES, DOCKER_HIDDEN, DOCKER_READ_ONLY, Without
from tests.sandbox.ranges import with_a_range
from tests.sandbox.seccomp_profiles import DOCKER_DEFAULT, PODMAN_DEFAULT, refusal

CRECHE = str(Path(sys.executable).parent / "creche")
NEW_USER, PRIVATE = 0x10000000, 0x44000
NO_NEW_USER = refusal(
    "unshare", errno.EPERM, {"index": 0, "value": NEW_USER, "valueTwo": NEW_USER, "op": "SCMP_CMP_MASKED_EQ"}
)
"""As a security module or a sysctl refuses it: the call itself gets through."""

NO_MOUNTS = refusal("mount", errno.EACCES, {"index": 3, "value": PRIVATE, "op": "SCMP_CMP_EQ"})


def filtered(*rules: Mapping[str, Any], **more: Any) -> Without:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    return Without(seccomp=profile, capabilities=DOCKER_CAPABILITIES, **more)


def kernel_setting(name: str, value: str) -> dict[str, Mapping[str, str]]:
    return {"/proc/sys/kernel": {name: f"{value}\n"}}


def libseccomp() -> tuple[str, ...]:
    """Return where the library is that this process has loaded by now."""
    rows = Path("/proc/self/maps").read_text("utf-8").splitlines()
    return tuple({row.split()[-1] for row in rows if "/libseccomp.so" in row})


def doctor(without: Without, *arguments: str) -> subprocess.CompletedProcess[str]:
    return deprived.run(without, CRECHE, "doctor", *arguments, COLUMNS="200")


NOTHING_WORKS: dict[str, tuple[Without, str, str]] = {
    "Docker's seccomp profile": (
        Without(seccomp=DOCKER_DEFAULT, capabilities=DOCKER_CAPABILITIES),
        "system calls: a seccomp filter refuses unshare, clone3, mount, umount2, open_tree, mount_setattr",
        "securityContext.seccompProfile to {type: Localhost, localhostProfile: creche.json}",
    ),
    "Podman's seccomp profile": (
        Without(seccomp=PODMAN_DEFAULT, capabilities=DOCKER_CAPABILITIES),
        "system calls: a seccomp filter refuses sethostname, as ",
        "securityContext.seccompProfile to {type: Localhost, localhostProfile: creche.json}",
    ),
    "Podman's seccomp profile and a masked /proc, the latter": (
        Without(seccomp=PODMAN_DEFAULT, capabilities=DOCKER_CAPABILITIES, hidden=DOCKER_HIDDEN),
        "a fresh /proc: /proc is covered in places (/proc/",
        "set securityContext.procMount: Unmasked, which needs hostUsers: false in the pod",
    ),
    "a unit's system call filter": (
        filtered(refusal("seccomp sethostname", errno.EPERM)),
        "system calls: a seccomp filter refuses seccomp, sethostname, as ",
        "securityContext.seccompProfile to {type: Localhost, localhostProfile: creche.json}",
    ),
    "a unit's system call filter, seen by libseccomp": (
        filtered(refusal("seccomp", errno.EPERM)),
        "seccomp: a filter refuses seccomp(2), by which libseccomp asks what the kernel can do",
        "let it be called",
    ),
    "masked /proc": (
        Without(capabilities=DOCKER_CAPABILITIES, hidden=DOCKER_HIDDEN, read_only=DOCKER_READ_ONLY),
        "a fresh /proc: /proc is covered in places (/proc/",
        "set securityContext.procMount: Unmasked, which needs hostUsers: false in the pod",
    ),
    "no user namespaces": (
        Without(user_namespaces=0),
        "user namespaces: the sysctl user.max_user_namespaces is 0",
        "sudo sysctl -w user.max_user_namespaces=65536",
    ),
    "too few user namespaces": (
        Without(user_namespaces=1),
        "user namespaces: there are as many user namespaces as there may be: ",
        "sudo sysctl -w user.max_user_namespaces=65536",
    ),
    "Debian's sysctl": (
        filtered(NO_NEW_USER, laid_over=kernel_setting("unprivileged_userns_clone", "0")),
        "user namespaces: only root may make user namespaces: the sysctl kernel.unprivileged_userns_clone",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    "Ubuntu's AppArmor, in the way of Ubuntu 24.04": (
        filtered(NO_MOUNTS, laid_over=kernel_setting("apparmor_restrict_unprivileged_userns", "1")),
        "mounts: AppArmor lets only programs that have a profile use user namespaces, as Ubuntu has it",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "a container's AppArmor profile": (
        filtered(NO_MOUNTS, laid_over={"/proc/self/attr": {"current": "docker-default (enforce)\n"}}),
        "mounts: the AppArmor profile docker-default forbids the mounts",
        "securityContext.appArmorProfile to {type: Localhost, localhostProfile: creche}",
    ),
    "who knows": (
        filtered(NO_NEW_USER),
        "user namespaces: the kernel refuses the user namespace (EPERM) for a reason that does not show",
        "look for a security module, a chroot or a sandbox around this process",
    ),
    "no libseccomp": (
        Without(hidden=libseccomp()),
        "seccomp: libseccomp could not be loaded",
        "install the package libseccomp2 (Debian, Ubuntu)",
    ),
}
"""What is taken away, how the row begins that names it, and what the remedy below it says in Kubernetes."""


@pytest.mark.parametrize(("without", "cause", "remedy"), NOTHING_WORKS.values(), ids=NOTHING_WORKS)
def test_what_stands_in_the_way_of_a_session_is_named(without: Without, cause: str, remedy: str) -> None:
    told = deprived.run(without, CRECHE, "doctor", COLUMNS="200", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert (1, "tier: full cannot be had here") == (told.returncode, told.stdout.splitlines()[-1]), (
        told.stdout + told.stderr
    )
    rows = told.stdout.splitlines()
    place = next((place for place, row in enumerate(rows) if row.startswith(cause)), None)
    assert place is not None, told.stdout
    assert remedy in rows[place + 1]


def test_what_makes_a_sandbox_weaker_is_named_and_the_tier_stays() -> None:
    hidden = refusal("landlock_create_ruleset", errno.EOPNOTSUPP)
    told = doctor(filtered(hidden, open_files=1000, read_only=("/sys/fs/cgroup",)))
    assert (0, "tier: full") == (told.returncode, told.stdout.splitlines()[-1]), told.stdout + told.stderr
    assert "Landlock: Landlock is built into this kernel and not switched on" in told.stdout
    assert "control groups: /sys/fs/cgroup/" in told.stdout
    assert (
        "open files: the hard limit of 1000 is enough for some 37 sessions at once, and max_sessions is 512"
        in told.stdout
    )
    assert "ulimit -Hn 10496" in told.stdout


def test_mounts_below_what_sessions_see_are_told_with_what_they_cost() -> None:
    told = doctor(Without(hidden=("/usr/share/doc",)))
    assert (0, "tier: full") == (told.returncode, told.stdout.splitlines()[-1]), told.stdout + told.stderr
    assert "file locks: other mounts lie below /usr (/usr/share/doc), and the kernel lets no " in told.stdout
    assert "so all locks are refused to them unless `shared_locks` is set" in told.stdout
    assert "without file locks ([Errno 22]" in " ".join(told.stdout.split())


def test_an_old_landlock_is_told_with_what_it_lacks() -> None:
    told = doctor(Without(landlock=4))
    assert 0 == told.returncode, told.stdout + told.stderr
    assert (
        "Landlock: the kernel's Landlock knows nothing yet of devices' ioctls (6.10), abstract sockets and "
        "signals (6.12)"
    ) in told.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root is told something else")
def test_an_ordinary_user_is_told_how_to_get_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "container", lambda: "")  # which the machine of the tests may be
    assert "systemd-run --user --scope -p Delegate=yes creche serve" == remedies.for_control_groups("none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any control group")
def test_in_a_container_an_ordinary_user_is_pointed_to_the_containers_own_bound() -> None:
    told = deprived.run(Without(), CRECHE, "doctor", COLUMNS="200", container="podman")
    assert (
        "   → bound all sessions together by the container's own limit: podman run --memory 8g …\n"
        in told.stdout
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root's sessions have ids that may not reach its interpreter")
@pytest.mark.skipif(
    landlock.abi() < landlock.ABI_SCOPES, reason="the kernel's Landlock is too old for a tier"
)
def test_with_dockers_own_profiles_the_lesser_tier_is_offered_and_never_taken() -> None:
    container = Without(seccomp=DOCKER_DEFAULT, hidden=DOCKER_HIDDEN, read_only=DOCKER_READ_ONLY)
    told = doctor(container)
    assert (1, "tier: full cannot be had here") == (told.returncode, told.stdout.splitlines()[-1])
    assert "a session of the tier landlock can be had here as it is: --set tier=landlock" in told.stdout
    wanted = doctor(container, "--set", "tier=landlock")
    assert (0, "tier: landlock") == (wanted.returncode, wanted.stdout.splitlines()[-1])


@pytest.mark.needs_root("to lose its capabilities")
def test_root_without_setfcap_is_told_so() -> None:
    told = doctor(Without(capabilities=()))
    assert 1 == told.returncode
    assert "user namespaces: root without the capability SETFCAP may not be root of a user" in told.stdout


@pytest.mark.needs_root("to be that of a container")
def test_root_of_a_rootless_container_gets_the_whole_tier_and_a_warning() -> None:
    told = doctor(Without(ids=65_536))
    assert (0, "tier: full") == (told.returncode, told.stdout.splitlines()[-1]), told.stdout + told.stderr
    assert "privilege: this root has no ids to give away" in told.stdout


def test_an_interpreter_that_is_not_there_is_told_with_a_remedy() -> None:
    told = doctor(Without(), "--set", "python=/nowhere/python3")
    assert 1 == told.returncode
    assert "interpreter: there is no /nowhere (No such file or directory)" in told.stdout
    assert "use an interpreter that lives elsewhere: --set python=/usr/bin/python3" in told.stdout


def rows_of_doctor(*prefix: str) -> list[str]:
    told = subprocess.run(
        [*prefix, CRECHE, "doctor"],
        capture_output=True, text=True, check=False, timeout=150, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert (0, "tier: full") == (told.returncode, told.stdout.splitlines()[-1]), told.stdout + told.stderr
    return told.stdout.splitlines()


@with_a_range
def test_the_doctor_names_the_range() -> None:
    ids = subordinate.find()
    assert isinstance(ids, Ids)
    rows = rows_of_doctor()
    assert any(
        f" user {os.geteuid()}, ids {ids.first} to {ids.first + ids.count - 1} " in row for row in rows
    )
    assert not any(row.startswith("privilege: ") for row in rows)


@with_a_range
@pytest.mark.parametrize(
    ("prefix", "cause", "remedy"),
    [
        (["setpriv", "--no-new-privs"], "no_new_privs is set for the server", "start it without"),
        (
            deprived.command(Without()),
            "its range of ids was refused: newuidmap: write to uid_map",
            "see newu",
        ),
    ],
    ids=["no_new_privs", "in a user namespace"],
)
def test_the_doctor_tells_what_keeps_the_range_from_being_used(
    prefix: list[str], cause: str, remedy: str
) -> None:
    rows = rows_of_doctor(*prefix)
    place = next(place for place, row in enumerate(rows) if row.startswith("privilege: "))
    assert (
        f"all sessions run as user {os.geteuid()}, the server's own, each caged, for {cause}" in rows[place]
    )
    assert remedy in rows[place + 1]
