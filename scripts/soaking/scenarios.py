"""The ways to use and leave a session of `workbench`, with what the server must answer in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from scripts.soaking.player import Player, Surprise

MIB = 1 << 20
_HALF = 0.5
_LOST = 503

Play = Callable[[Player], Awaitable[None]]


@attrs.frozen
class Scenario:
    """One way.

    Attributes:
        name: what the table calls it.
        weight: how often it is chosen, compared with the others.
        play: plays one session; raises Surprise.
    """

    name: str
    weight: int
    play: Play


SCENARIOS: list[Scenario] = []


def _scenario(weight: int) -> Callable[[Play], Play]:
    def add(play: Play) -> Play:
        name = play.__name__.removeprefix("_").replace("_", " ")
        SCENARIOS.append(Scenario(name, weight, play))
        return play

    return add


def _row(expected: Mapping[str, str | None] | None = None, **limits: float) -> dict[str, Any]:
    return {"files": {"a.txt": "2\n"}, "expected_files": expected or {"a.txt": "2\n"}, "limits": limits}


def _expect(condition: object, words: str) -> None:
    if not condition:
        raise Surprise(words)


@_scenario(30)
async def _used_and_verified(player: Player) -> None:
    row = _row({"a.txt": "2\n", "b.txt": "3"})
    await player.seed(row)
    await player.call("python", code="x = int(open('a.txt').read())")
    await player.call("python", code="open('b.txt', 'w').write(str(x + 1))")
    await player.verify(row)


@_scenario(10)
async def _used_in_two_lanes_and_closed(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.call("bash", command="cat a.txt > c.txt & wait")
    await player.call("python", code="import os; os.rename('c.txt', 'd.txt')")
    await player.close(row)
    await player.close(row)


@_scenario(10)
async def _never_used(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.verify(row)


@_scenario(6)
async def _abandoned(player: Player) -> None:
    await player.seed(_row(idle_seconds=0.5))
    if player.chance.random() < _HALF:
        # On a busy machine it may have ended before it is asked.
        await player.post("/bash", {"command": "(setsid sleep 1000 &) ; sleep 1000 &"}, (200, 404))


@_scenario(6)
async def _hung_up_during_the_seed(player: Player) -> None:
    await player.hang_up("/seed_session", _row(idle_seconds=0.5), player.chance.uniform(0.0, 0.03))


@_scenario(6)
async def _hung_up_during_a_call_then_verified(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.hang_up("/bash", {"command": "sleep 1000"}, player.chance.uniform(0.0, 0.05))
    await player.verify(row)


@_scenario(4)
async def _hung_up_during_a_call_then_closed(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.hang_up("/python", {"code": "while True: pass"}, player.chance.uniform(0.0, 0.05))
    await player.close(row)


@_scenario(4)
async def _hung_up_during_a_call_then_abandoned(player: Player) -> None:
    await player.seed(_row(call_seconds=0.5, idle_seconds=0.5))
    await player.hang_up("/bash", {"command": "sleep 1000"}, player.chance.uniform(0.0, 0.05))


@_scenario(4)
async def _hung_up_during_the_verify_then_verified_again(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.hang_up("/verify", {**row, "response": {}}, player.chance.uniform(0.0, 0.02))
    await player.verify(row)


@_scenario(4)
async def _call_past_its_deadline(player: Player) -> None:
    row = _row({"b.txt": "kept"}, call_seconds=2.5)  # the first call must keep to it, however busy all is
    await player.seed(row)
    await player.call("bash", command="printf kept > b.txt")
    if player.chance.random() < _HALF:
        await player.call("python", ("timeout",), code="import time; time.sleep(60)")
    else:
        await player.call("bash", ("timeout",), command="exec sleep 60")
    await player.verify(row)


@_scenario(3)
async def _session_past_its_deadline(player: Player) -> None:
    row = _row(session_seconds=0.4)
    await player.seed(row)
    status, _ = await player.post("/bash", {"command": "sleep 1000"}, (200, 409, 503))
    if status == _LOST:  # on a busy machine the deadline can come while it is seeded
        await player.verify_masked(row, "creche:seed_failed")
    else:
        await player.verify(row)


@_scenario(5)
async def _crashed_interpreter(player: Player) -> None:
    row = _row()
    await player.seed(row)
    how = player.chance.choice(
        ["os._exit(1)", "os.kill(os.getpid(), 9)", "os.abort()", "ctypes.string_at(0)", "os.kill(-1, 9)"]
    )
    await player.call("python", ("killed", "ok"), code=f"import os, ctypes; {how}")
    await player.call("bash", ("ok", "killed"), command="true")
    await player.verify(row)


@_scenario(5)
async def _crashed_shell(player: Player) -> None:
    row = _row()
    await player.seed(row)
    how = player.chance.choice(["kill -9 $$", "exit 3", "exec false", "kill -9 -1"])
    await player.call("bash", ("ok", "killed", "error"), command=how)
    await player.call("python", ("ok", "killed"), code="1")
    await player.verify(row)


@_scenario(1)
async def _fork_bomb(player: Player) -> None:
    row = _row(processes=16, call_seconds=1.0)
    await player.seed(row)
    # Each process stays until there are as many as may be; then they wait, and the call with them.
    code = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(60)"
    await player.call("python", ("timeout",), code=code)
    await player.verify(row)


@_scenario(1)
async def _out_of_memory(player: Player) -> None:
    row = _row(memory_bytes=48 * MIB)
    await player.seed(row)
    outcomes = ("out_of_memory", "error", "killed")
    await player.call("python", outcomes, code=f"x = b'x' * {128 * MIB}")
    await player.verify(row)


@_scenario(3)
async def _out_of_disk(player: Player) -> None:
    row = _row(disk_bytes=MIB)
    await player.seed(row)
    code = f"file = open('big', 'wb', buffering=0)\nwhile file.write(b'x' * {MIB // 4}): pass"
    seen = await player.call("python", ("error",), code=code)
    _expect("No space left" in str(seen), f"a full disk was reported as {seen}")
    await player.verify(row)


@_scenario(2)
async def _out_of_inodes(player: Player) -> None:
    row = _row(disk_inodes=100)
    await player.seed(row)
    code = "for number in range(200): open(str(number), 'w').close()"
    await player.call("python", ("error",), code=code)
    await player.verify(row)


@_scenario(1)
async def _flood_of_output(player: Player) -> None:
    row = _row(flood_bytes=MIB, output_bytes=4096)
    await player.seed(row)
    seen = await player.call("python", ("output_limit",), code="while True: print('x' * 1000)")
    _expect(len(seen["stdout"]) <= 3 * 4096, "more output was kept than may be")
    await player.verify(row)


@_scenario(3)
async def _forged_reply(player: Player) -> None:
    row = _row()
    await player.seed(row)
    await player.call("python", ("protocol_violation",), code="import os; os.write(4, b'x' * 1000)")
    await player.post("/python", {"code": "1"}, (409,))
    await player.verify(row)


@_scenario(3)
async def _wrong_requests(player: Player) -> None:
    await player.post("/python", {"code": "1"}, (404,))
    row = _row()
    await player.seed(row)
    await player.post("/python", {"code": 1}, (422,))
    await player.post("/no_such_tool", {}, (404,))
    await player.post("/seed_session", {"files": {}}, (409,))
    await player.post("/verify", {"files": {}, "response": {}}, (404,))
    await player.post("/close_session", {}, (404,))
    await player.verify(row)
    await player.post("/python", {"code": "1"}, (409,))
