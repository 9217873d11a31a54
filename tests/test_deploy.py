"""What `deploy/` holds fits together and fits the code. The filter itself: tests/whole/test_deprived.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import remedies, syscall_policy
from tests.sandbox.seccomp_profiles import OURS

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
_BUILDING = "chroot mount mount_setattr move_mount open_tree pivot_root seccomp sethostname umount2 unshare"
BUILDS_CAGES = frozenset(_BUILDING.split())
"""What sessions are refused by name, and whoever builds their cages may do."""

_WITH_SOME = (
    "clone fcntl ioctl mmap personality preadv2 prctl prlimit64 setrlimit setsockopt socket socketpair"
)
WITH_SOME_ARGUMENTS = frozenset(_WITH_SOME.split())
"""What sessions may do with some arguments only."""


def copied() -> list[str]:
    """Return what the Dockerfile copies out of the source tree."""
    rows = re.findall(r"^COPY (.+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return [path for row in rows for path in row.split()[:-1]]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def test_the_containers_filter_lets_through_whatever_a_session_may_call() -> None:
    allowed = {name for group in OURS["syscalls"] for name in group["names"]}
    assert (
        set() == (syscall_policy.ALLOWED | WITH_SOME_ARGUMENTS | syscall_policy.OWN_PROCESS.keys()) - allowed
    )
    assert set() == (syscall_policy.NEEDS_MEMORY_CGROUP | syscall_policy.POINTLESS) - allowed


def test_the_containers_filter_refuses_what_is_dangerous_but_for_what_builds_cages() -> None:
    allowed = {name for group in OURS["syscalls"] for name in group["names"]}
    assert BUILDS_CAGES == allowed & syscall_policy.FORBIDDEN
    assert {"SCMP_ACT_ALLOW"} == {group["action"] for group in OURS["syscalls"]}
    assert "SCMP_ACT_ERRNO" == OURS["defaultAction"]


def test_what_the_image_is_made_of_exists_and_is_in_the_source_distribution() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    shipped = {path for pattern in build["sdist"]["include"] for path in ROOT.glob(pattern.removeprefix("/"))}
    always = {
        ROOT / "pyproject.toml",
        ROOT / "LICENSE",
    }  # by hatchling and by `license-files`
    assert {"pyproject.toml", "README.md", "LICENSE", *build["wheel"]["packages"]} == set(copied())
    assert set() == {ROOT / path for path in copied()} - shipped - always
    assert [] == [path for path in copied() if not (ROOT / path).exists()]
    assert DEPLOY in shipped


def test_every_file_that_a_remedy_names_is_there() -> None:
    named = set(re.findall(r"deploy/[\w.]+\w", Path(remedies.__file__).read_text("utf-8")))
    assert {"deploy/seccomp.json", "deploy/apparmor"} == named
    assert [] == [name for name in named if not (ROOT / name).is_file()]


def test_compose_takes_everything_away_and_gives_back_three_things_only() -> None:
    (document,) = documents("compose.yaml")
    service = document["services"]["creche"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert ["ALL"] == service["cap_drop"]
    assert {
        "no-new-privileges:true",
        "seccomp:./seccomp.json",
        "apparmor:creche",
        "systempaths=unconfined",
    } == set(service["security_opt"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_kubernetes_takes_everything_away_and_gives_back_three_things_only() -> None:
    workload, _, policy = documents("kubernetes.yaml")
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (False, False) == (pod["hostUsers"], pod["automountServiceAccountToken"])
    assert {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "procMount": "Unmasked",
        "seccompProfile": {"type": "Localhost", "localhostProfile": "creche.json"},
        "appArmorProfile": {"type": "Localhost", "localhostProfile": "creche"},
    } == container["securityContext"]
    assert [] == policy["spec"]["egress"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    unit = (DEPLOY / "creche.service").read_text("utf-8")
    copy = tmp_path / "creche.service"
    copy.write_text(unit.replace("ExecStart=/opt/creche/bin/creche", "ExecStart=/bin/true"), "utf-8")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, check=False, text=True
    )
    assert (0, []) == (told.returncode, [row for row in told.stderr.splitlines() if "creche.service" in row])
