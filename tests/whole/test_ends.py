"""How clients and servers break off, and what is left then: nothing, and no call cut in half."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.benchmark.accounts import children
from tests.whole.servers import BIN, creche, hypercorn, reserved_port, started, wait_for_line
from tests.whole.waiting import (
    SLEEP,
    hang_up,
    in_background,
    is_refused,
    sleepers,
    wait_for_sleeper,
    wait_until,
    wake,
)

ROW: dict[str, Any] = {"expected_files": {"naps.txt": "nap\n"}}
NAP: dict[str, Any] = {"command": f"{SLEEP}; echo nap >> naps.txt"}
FOR_EVER = ("--set", "grace_seconds=500")
"""What lets a server that waits for something be told from one that does not, however slow the machine is."""


def test_a_hang_up_cancels_nothing_and_a_retry_joins_the_call(tmp_path: Path) -> None:
    with creche(tmp_path) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        body = json.dumps(NAP).encode()
        hang_up(server, client.cookies, "/bash", body, once=lambda: sleepers(server))
        thread, results = in_background(lambda: client.post("/bash", content=body))
        wake(wait_for_sleeper(server))
        thread.join()
        assert 0 == results[0].json()["exit_code"]
        assert 1.0 == client.post("/verify", json={**ROW, "response": {}}).json()["reward"]


def test_a_reply_that_nobody_heard_is_given_again(tmp_path: Path) -> None:
    with creche(tmp_path, "--set", "log_level=debug") as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        body = json.dumps({"command": "echo nap >> naps.txt"}).encode()
        hang_up(server, client.cookies, "/bash", body)
        wait_for_line(server.process, server.log, r'"(tool)": "bash", "outcome": "ok"')
        assert 0 == client.post("/bash", content=body).json()["exit_code"]
        assert 0 == client.post("/bash", content=body).json()["exit_code"]
        twice = {**ROW, "response": {}}
        files = client.post("/verify", json=twice).json()["final_state"]["files"]
        assert len("nap\nnap\n") == files["naps.txt"]["bytes"]


LONG = """
from server.environments.workbench import Workbench

class Long(Workbench):
    name = "long"

    def reply(self, tool, observation):
        return {"more": "x" * 20_000_000}
"""


def test_a_reply_that_broke_off_is_given_again(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(LONG)
    with creche(tmp_path, "long.py:Long") as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        body = httpx.Request("POST", server.url, json={"command": "echo nap >> naps.txt"}).content
        with client.stream("POST", "/bash", content=body) as reply:
            assert next(reply.iter_raw(50_000))  # it is hung up on with the rest of the reply on its way
        assert 20_000_000 < len(client.post("/bash", content=body).content)
        files = client.post("/verify", json={**ROW, "response": {}}).json()["final_state"]["files"]
        assert len("nap\n") == files["naps.txt"]["bytes"]


def test_a_hang_up_during_a_seed_leaves_no_session_that_nobody_knows(tmp_path: Path) -> None:
    with creche(tmp_path, "--set", "max_sessions=1") as server, server.client() as client:
        client.post("/seed_session", json=ROW)

        def waiting() -> int:
            count: int = client.get("/health").json()["sessions"]["waiting"]
            return count

        hang_up(server, {}, "/seed_session", json.dumps(ROW).encode(), once=lambda: waiting() == 1)
        wait_until(lambda: waiting() == 0)
        client.post("/close_session", json=ROW)
        assert 200 == httpx.post(f"{server.url}/seed_session", json=ROW, timeout=60).status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_call_in_progress_end_and_exits_0(tmp_path: Path, number: int) -> None:
    with creche(tmp_path, *FOR_EVER) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        thread, results = in_background(lambda: client.post("/bash", json=NAP))
        sleeper = wait_for_sleeper(server)
        server.process.send_signal(number)
        wait_until(lambda: is_refused(server))
        wake(sleeper)
        assert 0 == server.process.wait(60)
        thread.join()
        assert 0 == results[0].json()["exit_code"]


def test_after_a_signal_nobody_new_is_let_in_while_a_call_ends(tmp_path: Path) -> None:
    with creche(tmp_path, *FOR_EVER) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        thread, results = in_background(lambda: client.post("/bash", json=NAP))
        sleeper = wait_for_sleeper(server)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        assert not results
        assert server.process.poll() is None
        wake(sleeper)
        assert 0 == server.process.wait(60)
        thread.join()
        assert 0 == results[0].json()["exit_code"]


def test_a_call_that_outlasts_the_grace_is_answered_all_the_same(tmp_path: Path) -> None:
    settings = ("--set", "grace_seconds=0.5", "--set", "limits.call_seconds=500")
    with creche(tmp_path, *settings) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        thread, results = in_background(lambda: client.post("/bash", json=NAP, timeout=300))
        wait_for_sleeper(server)
        assert 0 == server.stop()
        thread.join()
        assert (503, True) == (results[0].status_code, "shutting down" in results[0].json()["detail"])


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    settings = (*FOR_EVER, "--set", "limits.call_seconds=500")
    with creche(tmp_path, *settings) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        thread, _ = in_background(lambda: client.post("/bash", json=NAP, timeout=300))
        wait_for_sleeper(server)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(server))
        assert 128 + signal.SIGINT == server.stop(signal.SIGINT)
        thread.join()


def test_an_idle_keep_alive_connection_does_not_hold_the_server(tmp_path: Path) -> None:
    settings = (*FOR_EVER, "--set", "keep_alive_seconds=500")
    with creche(tmp_path, *settings) as server, server.client() as client:
        client.get("/")
        assert 0 == server.stop()


@pytest.mark.orphans
def test_a_killed_server_leaves_nothing(tmp_path: Path) -> None:
    with creche(tmp_path) as server, server.client() as client:
        client.post("/seed_session", json=ROW)
        client.post("/bash", json={"command": "(setsid sleep 1000 &) ; sleep 1000 &"})
        thread, _ = in_background(lambda: client.post("/bash", json=NAP))
        wait_for_sleeper(server)
        server.cut_off()
        thread.join()
    # No process is left: that is checked after every test. The next start sweeps up the empty control groups.
    with creche(tmp_path):
        pass


@pytest.mark.orphans
def test_a_second_worker_is_refused_with_one_sentence(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with reserved_port() as port:
        bind = f"127.0.0.1:{port}"
        command = [str(BIN / "hypercorn"), "-k", "trio", "-w", "2", "-b", bind, "server.asgi:app"]
        with started(command, log) as process:
            process.wait(60)
        assert (
            "creche: a second worker would get requests of sessions that it does not have" in log.read_text()
        )
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{bind}/")
    # Hypercorn kills the first worker while it starts; the next start sweeps up after it.
    with creche(tmp_path):
        pass


@pytest.mark.orphans
def test_two_servers_with_one_worker_each_do_not_refuse_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with hypercorn(tmp_path / "a") as first, hypercorn(tmp_path / "b") as second:
        for server in (first, second):
            with server.client() as client:
                wait_until(lambda client=client: client.get("/health").status_code == 200)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no environment is called 'nothing'"),
        (["nothing.py:Nothing"], "there is no file nothing.py"),
        (["server.environment:Nothing"], "no environment class 'Nothing'"),
        (["--set", "max_sessions=none"], "--set max_sessions: max_sessions must be a whole number"),
        (["--bind", "nowhere"], "HOST:PORT"),
        (["--set", "python=/no/such/python"], "interpreter: there is no /no "),
        (["--unsafe-no-isolation", "--bind", "0.0.0.0:0"], "loopback"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = subprocess.run(
        [str(BIN / "creche"), "serve", "--bind", "127.0.0.1:0", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=60,
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("creche: ")
    assert 1 == done.stderr.count("\n"), done.stderr
    assert words in done.stderr


def test_a_port_that_is_taken_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [str(BIN / "creche"), "serve", "--bind", bind],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert f"cannot listen on {bind}: Address already in use" in done.stderr


def test_it_prints_one_line_when_it_is_ready(tmp_path: Path) -> None:
    with creche(tmp_path, "--set", "log_level=warning") as server:
        pid = server.process.pid
        assert f"creche: workbench ready on {server.url} (tier full, pid {pid})\n" == server.log.read_text()


def test_what_nemo_gym_put_into_the_environment_reaches_no_child(tmp_path: Path) -> None:
    with (
        creche(tmp_path, NEMO_GYM_CONFIG_DICT="policy_api_key: sk-very-secret") as server,
        server.client() as client,
    ):
        client.post("/seed_session", json=ROW)
        below = children(server.process.pid)
        assert below
        for child in below:
            assert b"sk-very-secret" not in Path(f"/proc/{child}/environ").read_bytes()
        assert "sk-very-secret" not in client.post("/bash", json={"command": "env; cat /proc/*/environ"}).text


def test_a_folder_called_tools_in_the_working_directory_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("raise SystemExit('a stranger ran')\n")
    with creche(tmp_path) as server, server.client() as client:
        assert 200 == client.get("/health").status_code
    command = [str(BIN / "python"), "-c", "import server.cli"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False, timeout=60
    )
    assert 1 == done.returncode
    assert "the package 'tools' would come from" in done.stderr.splitlines()[-1]


def test_a_log_that_nobody_reads_holds_up_nobody(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading, "rb") as told:
        with (
            os.fdopen(writing, "w") as log,
            creche(tmp_path, "--set", "log_level=debug", stderr=log) as server,
        ):
            with server.client() as client:
                client.post("/seed_session", json=ROW)
                for _ in range(100):
                    assert 200 == client.post("/python", json={"code": "1"}).status_code
                assert 200 == client.post("/verify", json={**ROW, "response": {}}).status_code
            assert 0 == server.stop()
        assert b"session live" in told.read()
