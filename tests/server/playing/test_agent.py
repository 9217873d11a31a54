"""The agent, against a real server in this process."""

from __future__ import annotations

import json

import pytest

from server.house import open_house
from server.playing.agent import Agent, object_in, play
from server.playing.connection import Answer, InProcess
from server.playing.reference import reference_script
from server.playing.samples import SAMPLES
from server.playing.script import Call, Script
from server.settings import Settings

ROW = SAMPLES["example_session_state_mgmt"][0]


async def test_a_script_is_played_in_a_session_and_judged() -> None:
    reference = reference_script(ROW, ("increment_counter", "get_counter_value"))
    assert reference is not None
    async with open_house(Settings(environment="example_session_state_mgmt", standby=0)) as house:
        connection = InProcess(house.front)
        done, nothing = [await play(connection, ROW, each) for each in (reference, Script())]
        agent = Agent(connection)
        strange = await agent.call(Call("../increment_counter", {"count": 1}))
    assert [1.0, 0.0] == [done["reward"], nothing["reward"]]
    kinds = [item["type"] for item in done["response"]["output"]]
    assert ["function_call", "function_call_output"] * 3 + ["message"] == kinds
    assert {"count": 6} == json.loads(done["response"]["output"][-2]["output"])
    assert 400 <= strange.status < 500  # there is no session


@pytest.mark.parametrize(("text", "held"), [('{"a": 1}', {"a": 1}), ("[]", {}), ("", {}), ("{", {})])
def test_an_answer_that_holds_no_object_holds_an_empty_one(text: str, held: dict[str, int]) -> None:
    assert held == object_in(Answer(200, text, None))
