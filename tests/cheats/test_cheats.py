"""All known cheats against the shipped verifiers, over HTTP: none earns more than doing nothing does.

`scripts/cheats` shows what was tried, what was earned and what stopped it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import httpx
import pytest
import trio

from server.playing.samples import SAMPLES
from server.redteam.attempt import Attack
from server.redteam.campaign import NOP
from server.redteam.catalogue import ATTACKS
from server.redteam.findings import Baseline, Tried, Word, weigh
from server.redteam.player import play
from server.redteam.target import Target
from tests.cheats.conftest import BOXED, BRIEF, OverHttp, tools_of
from tests.cheats.environments import CPU_SECONDS
from tests.whole.servers import Server

_AT_ONCE = 3


@attrs.frozen
class Case:
    """A row of an environment, and the attacks that it is made for."""

    name: str
    environment: str
    row: Mapping[str, Any] = attrs.field(repr=False)
    attacks: tuple[int, ...]
    cpu_seconds: float | None = None


PROGRAM, FUNCTION, CLASSES = SAMPLES["code_gen"]
IN_CODE = (1, 2, 3, 4, 5, 6, 9, 29, 33, 34, 36, 39)
IN_OUTPUT = (22, 23, 26, 27, 37)
BESIDE_CODE = (10, 16, 17, 18, 20, 21, 30, 32, 40, 42)
CASES = (
    Case("programs", "code_gen", PROGRAM, IN_CODE + IN_OUTPUT + BESIDE_CODE),
    Case("functions", "code_gen", FUNCTION, (*IN_CODE, 16, 25)),
    Case("unittest classes, in process", "code_gen", CLASSES, (1, 2, 3, 4, 5, 6, 9, 31, 33, 34, 39)),
    Case("programs, 1 s", BRIEF, PROGRAM, (24,), CPU_SECONDS),
    Case("terminal", "terminal", SAMPLES["terminal"][0], (7, 8, 10, 11, 12, 13, 14, 15, 17, 19, 31, 35)),
    Case("a program in a terminal", "terminal", SAMPLES["terminal"][1], (20,)),
    Case("files", "workbench", SAMPLES["workbench"][0], (11, 12, 32, 35, 41, 42)),
    Case("boxed answers", BOXED, SAMPLES["math_with_code"][0], (28, 32, 42)),
    Case("short answers", "string_match", SAMPLES["string_match"][0], (28, 32, 38)),
)
PAIRS = [(ATTACKS[number], case) for case in CASES for number in sorted(case.attacks)]


def test_every_attack_of_the_catalogue_is_tried() -> None:
    assert set(ATTACKS) == {attack.number for attack, _ in PAIRS}


@pytest.mark.parametrize(
    ("attack", "case"), PAIRS, ids=[f"{attack.number}-{case.name}" for attack, case in PAIRS]
)
async def test_a_cheat_earns_nothing(
    attack: Attack, case: Case, servers: dict[str, Server], record_property: Callable[[str, object], None]
) -> None:
    target = Target.of(case.row, tools_of(case.environment), case.cpu_seconds)
    attempts = list(attack.make(target))
    assert attempts
    tried: list[Tried] = []
    limiter = trio.CapacityLimiter(_AT_ONCE)
    oracle = target.oracle() if any(attempt.keeps_reward for attempt in attempts) else None
    async with httpx.AsyncClient(base_url=servers[case.environment].url, timeout=120) as client:
        connection = OverHttp(client)
        rewarded = None if oracle is None else (await play(connection, case.row, oracle)).reward

        async def go(number: int) -> None:
            async with limiter:
                played = await play(connection, case.row, attempts[number])
                baseline = Baseline(nop=0.0, oracle=rewarded)
                tried.append(weigh(number, attempts[number], played, baseline))

        async with trio.open_nursery() as nursery:
            for number in range(len(attempts)):
                nursery.start_soon(go, number)
    _note(attack, case, tried, record_property)
    assert [] == [(each.attempt.label, each.word, each.why) for each in tried if each.word is not Word.HELD]
    for each in tried:
        if each.attempt.label == "planted":  # what was to be planted was: the shell got to its end
            assert [0] == [json.loads(answer.text)["exit_code"] for answer in each.played.calls]


def _note(
    attack: Attack, case: Case, tried: list[Tried], record_property: Callable[[str, object], None]
) -> None:
    record_property("verifier", case.name)
    record_property("reward", max(each.played.reward for each in tried if not each.attempt.keeps_reward))
    record_property("rollouts", len(tried))
    record_property("stopped by", attack.stopped_by)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_nothing_earns_nothing_and_the_reference_earns_all(
    case: Case, servers: dict[str, Server]
) -> None:
    target = Target.of(case.row, tools_of(case.environment))
    oracle = target.oracle()
    assert oracle is not None
    async with httpx.AsyncClient(base_url=servers[case.environment].url, timeout=120) as client:
        rewards = [(await play(OverHttp(client), case.row, attempt)).reward for attempt in (NOP, oracle)]
    assert [0.0, 1.0] == rewards
