"""The two small stateful examples, played as NeMo Gym recorded them."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.replaying.recording import calls_in, outputs_in
from server.environments.example_multi_step import ExampleMultiStep
from server.environments.example_session_state_mgmt import ExampleSessionStateMgmt
from tests.server.environments.conftest import Player, message, recorded

MULTI_STEP_ROW = {
    "expected_synonym_values": [711, 407],
    "minefield_label": "Hot",
    "minefield_label_value": 299,
}
MULTI_STEP_FIELDS = (
    "parsed_synonym_values",
    "accuracy",
    "set_overlap",
    "original_term_minefield_hit",
    "order_instruction_following_failure",
)


def user_text(record: dict[str, Any]) -> Any:
    return record["responses_create_params"]["input"][-1]["content"]


async def test_recorded_counters_give_the_recorded_replies_and_rewards(player: Player) -> None:
    rows = {user_text(row): row for row in recorded("session_state")}
    for rollout in recorded("session_state.rollouts"):
        played = await player.play(
            ExampleSessionStateMgmt(), rows[user_text(rollout)], calls_in(rollout["response"])
        )
        assert outputs_in(rollout["response"]) == played.replies
        assert rollout["reward"] == played.verdict.reward


async def test_a_counter_that_nobody_moved_is_worth_nothing(player: Player) -> None:
    played = await player.play(ExampleSessionStateMgmt(), {"initial_count": 3, "expected_count": 6})
    assert played.verdict.reward == 0.0


async def test_a_counter_goes_down_too(player: Player) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("increment_counter", {"count": -5}),
        ("get_counter_value", {}),
    ]
    played = await player.play(ExampleSessionStateMgmt(), {"initial_count": 3, "expected_count": -2}, calls)
    assert [{"success": True}, {"count": -2}] == played.replies
    assert played.verdict.reward == 1.0


async def test_recorded_synonyms_give_the_recorded_replies_and_verdicts(player: Player) -> None:
    rows = {user_text(row): row for row in recorded("multi_step")}
    for rollout in recorded("multi_step.rollouts"):
        row, response = rows[user_text(rollout)], rollout["response"]
        played = await player.play(ExampleMultiStep(), row, calls_in(response))
        assert outputs_in(response) == played.replies
        assert {name: rollout[name] for name in MULTI_STEP_FIELDS} == played.verdict.fields
        assert rollout["reward"] == played.verdict.reward
        # Verified again without a session, there is only the response to tell of the calls.
        again = await player.play(ExampleMultiStep(), row, response=response)
        assert again.verdict == played.verdict


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([711, 407], [[711, 407], True, 1.0, False, False]),
        ([407, 711], [[407, 711], False, 1.0, False, True]),
        ([711, 299], [[711, 299], False, 0.5, True, False]),
        ([], [[], False, 0.0, False, False]),
    ],
)
async def test_what_is_handed_in_is_judged(player: Player, values: list[int], expected: list[Any]) -> None:
    calls = [("extract_synonym_values", {"synonym_values": values})]
    played = await player.play(ExampleMultiStep(), MULTI_STEP_ROW, calls)
    assert expected == [played.verdict.fields[name] for name in MULTI_STEP_FIELDS]
    assert played.verdict.reward == float(expected[1])


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "",
        "[]",
        "{}",
        '{"synonym_values": 5}',
        '{"synonym_values": [[1]]}',
        '{"synonym_values": [true]}',
    ],
)
async def test_a_response_that_makes_no_sense_hands_in_nothing(player: Player, arguments: Any) -> None:
    call = {"type": "function_call", "name": "extract_synonym_values", "arguments": arguments}
    played = await player.play(ExampleMultiStep(), MULTI_STEP_ROW, response={"output": ["x", call]})
    assert ([], 0.0) == (played.verdict.fields["parsed_synonym_values"], played.verdict.reward)


async def test_to_talk_of_the_values_is_not_to_hand_them_in(player: Player) -> None:
    played = await player.play(ExampleMultiStep(), MULTI_STEP_ROW, response=message("[711, 407]"))
    assert played.verdict.reward == 0.0
