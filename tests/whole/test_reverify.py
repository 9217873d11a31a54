"""Stored rollouts, verified again over HTTP: by the captured state, without a session."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from server.cli import main
from tests.whole.servers import Server, creche

SECRET = "a secret of at least sixteen characters"
ROW = {
    "responses_create_params": {"input": [{"role": "user", "content": "write b"}], "tools": None},
    "expected_files": {"b.txt": "right"},
    "_ng_task_index": 0,
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "output": [],
    "metadata": None,
    "usage": {"total_tokens": 3},
    "logprob": 1.10,
}


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with creche(folder, "--set", f"reverify_folder={folder}/states", CRECHE_SECRET=SECRET) as server:
        yield server


@pytest.fixture(name="client")
def _client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def body(row: Mapping[str, Any], response: Mapping[str, Any]) -> bytes:
    return json.dumps({**row, "response": response}, ensure_ascii=False, separators=(",", ":")).encode()


def play(client: httpx.Client, content: str) -> httpx.Response:
    client.post("/seed_session", json=ROW)
    client.post("/write_file", json={"path": "b.txt", "content": content})
    reply = client.post("/verify", content=body(ROW, RESPONSE))
    client.cookies.clear()
    return reply


def test_the_same_verdict_comes_back_byte_by_byte(client: httpx.Client) -> None:
    assert '"stateless"' == client.get("/reverify_mode").text
    for content, reward in (("right", 1.0), ("wrong", 0.0)):
        first = play(client, content)
        assert reward == first.json()["reward"]
        again = client.post("/verify", content=body(ROW, first.json()["response"]))
        client.cookies.clear()
        assert first.content == again.content


def test_the_verdict_comes_back_from_another_server(
    client: httpx.Client, server: Server, tmp_path: Path
) -> None:
    first = play(client, "right")
    folder = f"reverify_folder={server.log.parent}/states"
    with creche(tmp_path, "--set", folder, CRECHE_SECRET=SECRET) as other, other.client() as stranger:
        again = stranger.post("/verify", content=body(ROW, first.json()["response"]))
    assert first.content == again.content


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        (lambda row, metadata: metadata.clear(), "session_lost"),
        (
            lambda row, metadata: metadata.update(creche_state="1." + "0" * 64 + "." + "0" * 32),
            "session_lost",
        ),
        (lambda row, metadata: metadata.update(creche_state="../../etc/passwd"), "session_lost"),
        (lambda row, metadata: row.update(expected_files={"b.txt": "wrong"}), "creche:other_task"),
        (lambda row, metadata: row.pop("expected_files"), "creche:other_task"),
        (lambda row, metadata: row.update(limits={"call_seconds": 1}), "creche:other_task"),
    ],
    ids=["none", "forged", "a path", "another task", "no task", "more of a task"],
)
def test_what_names_no_state_of_this_task_is_masked(client: httpx.Client, change: Any, failure: str) -> None:
    told = play(client, "wrong").json()
    row, metadata = dict(ROW), dict(told["response"]["metadata"])
    change(row, metadata)
    again = client.post("/verify", content=body(row, {**told["response"], "metadata": metadata})).json()
    assert (0.0, failure, True) == (again["reward"], again["failure_kind"], again["mask_sample"])
    assert again["failure_kind"] == again["receipt"]["outcome"]


def test_a_live_session_is_judged_whatever_reference_its_response_brings(client: httpx.Client) -> None:
    right = play(client, "right").json()["response"]
    client.post("/seed_session", json=ROW)
    told = client.post("/verify", content=body(ROW, right)).json()
    assert 0.0 == told["reward"]
    assert right["metadata"] != told["response"]["metadata"]


def test_the_stored_rollout_can_be_checked(client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "rollouts.jsonl"
    file.write_text(
        "".join(json.dumps(play(client, content).json()) + "\n" for content in ("right", "wrong"))
    )
    checked = CliRunner().invoke(main, ["verify-receipt", str(file)], env={"CRECHE_SECRET": SECRET})
    assert 0 == checked.exit_code, checked.output
    file.write_text(file.read_text().replace("wrong", "right"))
    checked = CliRunner().invoke(main, ["verify-receipt", str(file)], env={"CRECHE_SECRET": SECRET})
    assert 0 == checked.exit_code  # the word is in no reply: contents are told by their digests only
    file.write_text(file.read_text().replace('"reward": 0.0', '"reward": 1.0'))
    checked = CliRunner().invoke(main, ["verify-receipt", str(file)], env={"CRECHE_SECRET": SECRET})
    assert (1, True) == (
        checked.exit_code,
        "rollouts.jsonl:2" in checked.output and "reward: changed" in checked.output,
    )


def test_without_states_there_is_no_second_verdict(tmp_path: Path) -> None:
    with creche(tmp_path, "--set", "reverify_bytes=0") as server, server.client() as client:
        assert '"unsupported"' == client.get("/reverify_mode").text
        told = play(client, "right").json()
        assert (1.0, None, None) == (told["reward"], told["receipt"]["state"], told["response"]["metadata"])
        assert 0.0 == client.post("/verify", content=body(ROW, told["response"])).json()["reward"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["reverify_folder=/tmp/somewhere"], "needs a secret"),
        (["reverify_folder=/dev/null", f"secret={SECRET}"], "cannot be made"),
        (["receipt_key=/nowhere/key.pem"], "cannot be read"),
    ],
)
def test_what_cannot_be_used_stops_the_start(settings: list[str], words: str) -> None:
    arguments = [part for setting in settings for part in ("--set", setting)]
    ran = CliRunner().invoke(main, ["serve", "--bind", "127.0.0.1:0", *arguments])
    assert (1, True) == (ran.exit_code, words in ran.output), ran.output
