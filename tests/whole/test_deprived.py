"""A server in a container: with the profile that is shipped it serves, with Docker's own it says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox import deprived
from tests.sandbox.deprived import DOCKER_CAPABILITIES, Without
from tests.sandbox.seccomp_profiles import DOCKER_DEFAULT, OURS
from tests.whole.servers import BIN, Server, started, wait_for_line

SERVE = (str(BIN / "creche"), "serve", "--bind", "127.0.0.1:0")
ROW = {"responses_create_params": {"input": []}, "expected_files": {"a.txt": "4\n"}}


@pytest.mark.parametrize(
    ("without", "settings", "sentence"),
    [
        (
            Without(seccomp=DOCKER_DEFAULT, capabilities=DOCKER_CAPABILITIES),
            (),
            "system calls: a seccomp filter refuses unshare, clone3, mount, umount2, open_tree",
        ),
        (
            Without(user_namespaces=1),
            (),
            "user namespaces: there are as many user namespaces as",
        ),
        (Without(), ("--set", "python=/nowhere/python3"), "interpreter: there is no /nowhere (No such file"),
    ],
    ids=["Docker's profile", "sessions cannot be forked", "no interpreter"],
)
def test_a_server_that_cannot_isolate_refuses_in_the_doctors_words(
    without: Without, settings: tuple[str, ...], sentence: str
) -> None:
    told = deprived.run(without, *SERVE, *settings)
    assert (1, "") == (told.returncode, told.stdout)
    assert told.stderr.startswith(f"creche: no session could be started: {sentence}")
    assert 1 == told.stderr.count("\n")


def test_with_the_profile_that_is_shipped_a_container_serves_rollouts_in_the_whole_tier(
    tmp_path: Path,
) -> None:
    container = Without(seccomp=OURS, capabilities=DOCKER_CAPABILITIES)
    log = tmp_path / "server.log"
    with started(deprived.command(container, *SERVE), log) as process:
        server = Server(wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) "), process, log)
        with server.client() as client:
            health = client.get("/health").json()
            assert ("full", "own") == (health["tier"], health["posture"]["locks"])
            assert "{}" == client.post("/seed_session", json=ROW).text
            assert "4" == client.post("/python", json={"code": "x = 2 + 2; x"}).json()["result"]
            wrote = client.post("/bash", json={"command": "echo 4 > a.txt; ls /proc/self/fd | wc -l"})
            assert (0, "ok") == (wrote.json()["exit_code"], wrote.json()["outcome"])
            verdict = client.post("/verify", json={**ROW, "response": {"output": []}}).json()
        assert (1.0, "full") == (verdict["reward"], verdict["tier"])
        assert 0 == server.stop()


def test_a_server_whose_sessions_get_no_locks_warns_at_its_start_and_says_so_when_asked(
    tmp_path: Path,
) -> None:
    log = tmp_path / "server.log"
    with started(deprived.command(Without(hidden=("/usr/share/doc",)), *SERVE), log) as process:
        server = Server(wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) "), process, log)
        with server.client() as client:
            assert "refused" == client.get("/health").json()["posture"]["locks"]
        assert 0 == server.stop()
    assert "no_inodes_of_their_own" in log.read_text("utf-8")
    assert "mount overlay on /run/usr: Invalid argument" in log.read_text("utf-8")


def test_few_open_files_are_warned_of_and_the_soft_limit_is_raised(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with started(deprived.command(Without(open_files=1000), *SERVE), log) as process:
        server = Server(wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) "), process, log)
        assert 0 == server.stop()
    assert "few_open_files" in log.read_text("utf-8")
    assert "the hard limit of 1000 is enough for some 29 sessions at once" in log.read_text("utf-8")
