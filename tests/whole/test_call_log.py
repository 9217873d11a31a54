"""A session that calls and prints without end: the server's memory is bounded, and the verifier is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.whole.servers import Server, creche
from tests.whole.test_large_bodies import peak_bytes

MIB = 1024 * 1024
ENVIRONMENT = """
from server import Environment, Verdict

class Counted(Environment):
    tools = ("python",)

    async def verify(self, rollout):
        calls = rollout.calls
        return Verdict(
            float(all("code" in call.arguments for call in calls)),
            {
                "codes": [call.arguments["code"] for call in calls],
                "outputs": [len(call.observation.stdout) for call in calls],
                "left_out": [sorted(call.left_out) for call in calls],
            },
        )
"""
ROW: dict[str, Any] = {"id": 1}


def served(folder: Path) -> str:
    (folder / "counted.py").write_text(ENVIRONMENT)
    return f"{folder}/counted.py:Counted"


def sent(number: int, size: int) -> dict[str, str]:
    return {"code": f"print('{number:04}' * {size // 4})"}


def test_hundreds_of_long_outputs_cost_what_the_log_may_hold(tmp_path: Path) -> None:
    calls, size = 400, 64_000
    with creche(tmp_path, served(tmp_path), "--set", "limits.log_bytes=2000000") as server:
        before = peak_bytes(server)
        body = played(server, calls, size)
        assert 12 * MIB > peak_bytes(server) - before  # all of them would be 25
    assert (1.0, calls) == (body["reward"], body["receipt"]["calls"]["count"])
    assert [sent(number, size)["code"] for number in range(calls)] == body["codes"]
    gone = sum(map(bool, body["left_out"]))
    assert gone == body["receipt"]["calls"]["left_out"]
    assert [0] * gone == body["outputs"][:gone]
    assert {size + 1} == set(body["outputs"][gone:])
    assert 350 < gone < calls


def played(server: Server, calls: int, size: int) -> dict[str, Any]:
    with server.client() as client:
        client.post("/seed_session", json=ROW)
        for number in range(calls):
            reply = client.post("/python", json=sent(number, size)).json()
            assert "ok" == reply["outcome"]
            assert f"{number:04}" == reply["stdout"][:4]
        answer: dict[str, Any] = client.post("/verify", json={**ROW, "response": {}}).json()
        return answer


def test_a_session_whose_log_is_full_takes_no_more_calls_and_is_judged(tmp_path: Path) -> None:
    with (
        creche(tmp_path, served(tmp_path), "--set", "limits.log_bytes=20000") as server,
        server.client() as client,
    ):
        client.post("/seed_session", json=ROW)
        statuses = [client.post("/python", json=sent(number, 4)).status_code for number in range(30)]
        made = statuses.index(409)
        assert [200] * made + [409] * (30 - made) == statuses
        assert 10 < made < 20
        refusal = client.post("/python", json=sent(0, 4)).json()["detail"]
        assert re.search("as many calls as its log can hold", refusal)
        body = client.post("/verify", json={**ROW, "response": {}}).json()
    assert (1.0, made) == (body["reward"], len(body["codes"]))
