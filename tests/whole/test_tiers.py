"""Servers of the lesser tiers, as their operators start them: what they say, refuse and answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.linux import landlock
from server.client import AsyncClient
from server.client.sandboxes import AsyncSandboxes
from tests.sandbox import deprived
from tests.sandbox.deprived import DOCKER_CAPABILITIES, DOCKER_HIDDEN, DOCKER_READ_ONLY, Without
from tests.sandbox.handlers import PROFILE
from tests.sandbox.seccomp_profiles import DOCKER_DEFAULT
from tests.sandbox.tiers import reachable
from tests.whole.servers import BIN, Server, creche, started, wait_for_line
from tests.whole.test_sandboxes import TOKEN

ROW = {"responses_create_params": {"input": []}, "expected_files": {"a.txt": "2\n"}}
INTERPRETER = reachable(PROFILE).python
PYTHON = () if INTERPRETER is None else ("--set", f"python={INTERPRETER}")
needs_landlock = pytest.mark.skipif(
    landlock.abi() < landlock.ABI_SCOPES, reason=f"Landlock here is ABI {landlock.abi()}, and it takes 6"
)


def names_in_root() -> set[Path]:
    return set(Path("/").iterdir())


def play(server: Server) -> dict[str, object]:
    """Play a rollout that earns the reward; return the verdict."""
    with server.client() as client:
        assert 200 == client.post("/seed_session", json=ROW).status_code
        shell = client.post("/bash", json={"command": "pwd; printf '1\\n' > a.txt"}).json()
        assert "ok" == shell["outcome"], shell
        code = "print(open('a.txt').read()); print(1 + 1, file=open('a.txt', 'w'))"
        assert "1\n\n" == client.post("/python", json={"code": code}).json()["stdout"]
        assert "2\n" == client.post("/read_file", json={"path": "/workspace/a.txt"}).json()["content"]
        verdict: dict[str, object] = client.post("/verify", json={**ROW, "response": {"output": []}}).json()
        return verdict


@needs_landlock
def test_a_rollout_in_the_tier_landlock_earns_its_reward_and_every_answer_names_the_tier(
    tmp_path: Path,
) -> None:
    with creche(tmp_path, "--set", "tier=landlock", *PYTHON) as server:
        verdict = play(server)
        assert (1.0, "landlock") == (verdict["reward"], verdict["tier"])
        with server.client() as client:
            health = client.get("/health").json()
        assert ("landlock", "landlock", 0) == (
            health["tier"],
            health["posture"]["tier"],
            health["posture_mismatches"],
        )
        told = server.log.read_text()
    assert "less_than_full_isolation" in told
    assert "(tier landlock, pid " in told


def test_without_isolation_each_start_warns_whatever_the_log_level(tmp_path: Path) -> None:
    with creche(tmp_path, "--unsafe-no-isolation", "--set", "log_level=error", *PYTHON) as server:
        verdict = play(server)
        assert (1.0, "none") == (verdict["reward"], verdict["tier"])
        with server.client() as client:
            assert "none" == client.get("/health").json()["tier"]
        assert "creche: WARNING: model code runs WITHOUT ISOLATION" in server.log.read_text()


@pytest.mark.parametrize("tier", [pytest.param("landlock", marks=needs_landlock), "none"])
async def test_sandboxes_by_themselves_work_and_keep_to_their_own_folders(tmp_path: Path, tier: str) -> None:
    flags = ("--unsafe-no-isolation",) if tier == "none" else ("--set", f"tier={tier}")
    before = names_in_root()
    with creche(tmp_path, *flags, *PYTHON, CRECHE_SANDBOX_TOKEN=TOKEN) as server:
        async with AsyncClient(server.url) as client:
            sandbox = await AsyncSandboxes(client, TOKEN).create(workdir="/workspace/repo")
            await sandbox.upload("/workspace/repo/sub/a.txt", b"1\n")
            seen = await sandbox.execute("cat a.txt; echo 2 > b.txt", cwd="sub")
            assert (0, "1\n") == (seen.return_code, seen.stdout), seen
            assert b"2\n" == await sandbox.download("sub/b.txt")
            await sandbox.close()
        assert 0 == server.stop()
    assert before == names_in_root()


@pytest.mark.orphans
def test_without_isolation_plain_hypercorn_is_refused(tmp_path: Path) -> None:
    command = [str(BIN / "hypercorn"), "-k", "trio", "-b", "127.0.0.1:0", "server.asgi:app"]
    log = tmp_path / "log"
    with started(command, log, CRECHE_TIER="none", CRECHE_UNSAFE_NO_ISOLATION="true") as process:
        process.wait(60)
    assert "start it with creche serve --unsafe-no-isolation" in log.read_text()


IN_DOCKER = Without(
    seccomp=DOCKER_DEFAULT,
    capabilities=DOCKER_CAPABILITIES,
    hidden=DOCKER_HIDDEN,
    read_only=DOCKER_READ_ONLY,
)


@needs_landlock
def test_where_docker_forbids_namespaces_full_does_not_start_and_landlock_does_if_it_is_asked_for(
    tmp_path: Path,
) -> None:
    serve = (str(BIN / "creche"), "serve", "--bind", "127.0.0.1:0", *PYTHON)
    refused = deprived.run(IN_DOCKER, *serve)
    assert 1 == refused.returncode
    assert "no session could be started" in refused.stderr
    log = tmp_path / "log"
    with started(deprived.command(IN_DOCKER, *serve, "--set", "tier=landlock"), log,
                 PYTHONPATH=str(Path(__file__).parents[2])) as process:  # fmt: skip
        url = wait_for_line(process, log, r"creche: \w+ ready on (http://\S+) ")
        verdict = play(Server(url, process, log))
        assert (1.0, "landlock") == (verdict["reward"], verdict["tier"])


@needs_landlock
def test_the_doctor_names_the_lesser_tier_where_it_can_be_had_and_tells_of_the_one_asked_for() -> None:
    doctor = (str(BIN / "creche"), "doctor", *PYTHON)
    told = deprived.run(IN_DOCKER, *doctor, COLUMNS="200")
    assert (1, "tier: full cannot be had here") == (told.returncode, told.stdout.splitlines()[-1]), (
        told.stdout + told.stderr
    )
    assert "a session of the tier landlock can be had here as it is: --set tier=landlock" in told.stdout
    told = deprived.run(IN_DOCKER, *doctor, "--set", "tier=landlock", COLUMNS="200")
    assert (0, "tier: landlock") == (told.returncode, told.stdout.splitlines()[-1]), told.stdout + told.stderr
    assert "landlock, answered after" in told.stdout


def test_an_old_landlock_is_no_reason_to_start_with_less() -> None:
    serve = (str(BIN / "creche"), "serve", "--bind", "127.0.0.1:0", *PYTHON, "--set", "tier=landlock")
    refused = deprived.run(Without(landlock=4), *serve)
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "'landlock' needs Landlock ABI 6" in refused.stderr
