"""How a lane ends: by itself, by force, by lying; and what becomes of the session then."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.errors import Gone, Starved
from sandbox.launcher import Launcher
from sandbox.observation import Ending, Outcome
from tests.sandbox.faults import open_descriptors
from tests.sandbox.handlers import PROFILE, SMALL, TELL, run, value, when_told
from tests.sandbox.kin import BUSY, PATIENCE, is_stopped, wait_for_file, wait_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.box import Box


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(0)\n",
        "import os; os._exit(1)\n",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n",
        "import ctypes; ctypes.string_at(0)\n",
        "import os; os.abort()\n",
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(0, signal.SIGTERM)\n",
        "import os; os.execv('/bin/true', ['true'])\n",
        "import os; os.close(4); import time; time.sleep(60)\n",
    ],
)
async def test_a_lane_that_ends_itself_is_killed_and_replaced(box: Box, code: str) -> None:
    await run(box, "lost = 1; open('kept', 'w').close(); print('before')\n")
    # If its end were not noticed, the call would time out.
    observation = await run(box, "print('last words', flush=True)\n" + code)
    assert (Outcome.KILLED, "the tool's process ended") == (observation.outcome, observation.error)
    assert observation.interpreter_reset
    assert "last words\n" == observation.stdout
    after = await run(box, "['lost' in globals(), __import__('os').listdir()]")
    assert (Outcome.OK, [False, ["kept"]], False) == (after.outcome, after.value, after.interpreter_reset)


async def test_a_lane_that_ends_while_its_children_hold_its_pipes_is_noticed_at_once(box: Box) -> None:
    code = "import os, time\nif os.fork() == 0: time.sleep(60); os._exit(0)\nos._exit(0)"
    started = time.monotonic()
    observation = await run(box, code)
    assert Outcome.KILLED == observation.outcome
    assert time.monotonic() - started < SMALL.call_seconds


@contextmanager
def init_takes_no_orders(box: Box) -> Iterator[None]:
    """Stop a box's init, and fill the line to it with orders that concern nobody."""
    init = box._init.pid()
    os.kill(init, signal.SIGSTOP)
    while not is_stopped(init):  # it may still be reading what is sent
        time.sleep(0.001)
    try:
        with suppress(BlockingIOError):
            while True:
                box._line.send({"op": "kill", "lane": "nobody's"})
        yield
    finally:
        if not box.is_over:
            os.kill(box._init.pid(), signal.SIGCONT)


async def test_a_lane_that_cannot_be_ordered_is_refused_and_the_session_goes_on(box: Box) -> None:
    with init_takes_no_orders(box):
        with pytest.raises(Starved):
            await value(box, "1", beside=True)
        assert 1 == await value(box, "1")
    with trio.fail_after(PATIENCE):
        while True:
            with suppress(Starved):  # until init has read some of what fills the line
                assert 1 == await value(box, "1", beside=True)
                return
            await trio.sleep(0.01)


async def test_a_lane_that_cannot_be_ordered_to_end_ends_the_session_and_leaves_nothing(
    launcher: Launcher,
) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL):
        before = open_descriptors()
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, box, BUSY)
            await wait_for_file(box, "begun")
            nursery.cancel_scope.cancel()
        with init_takes_no_orders(box), pytest.raises(Gone, match="killed"):
            await run(box, "1")
    async with launcher.open_sandbox(PROFILE, SMALL):
        assert before == open_descriptors()


TRICKLE = """
import os, struct
os.write(4, struct.pack(">I", 16 << 20))
for _ in range(3): os.fork()
while True: os.write(4, b" ")
"""


async def test_a_lane_that_trickles_its_reply_is_ended_at_the_deadline_and_nobody_waits_for_it(
    box: Box, nursery: trio.Nursery
) -> None:
    longest, last = 0.0, time.thread_time()  # not the clock's time: others are busy, too

    async def look() -> None:
        nonlocal longest, last
        while True:
            await trio.sleep(0.01)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    nursery.start_soon(look)
    started = time.monotonic()
    observation = await run(box, TRICKLE, seconds=1.0)
    assert Outcome.TIMEOUT == observation.outcome
    assert time.monotonic() - started < PATIENCE
    assert longest < 1
    nursery.cancel_scope.cancel()
    assert 1 == await value(box, "1")


async def test_a_lane_that_ends_between_two_calls_is_replaced_at_the_next(box: Box) -> None:
    lane = box._lanes["first"].process.pid()
    await run(box, when_told("os._exit(0)"))
    await value(box, TELL, beside=True)
    await wait_gone(lane)
    assert (Outcome.KILLED, True) == ((gone := await run(box, "1")).outcome, gone.interpreter_reset)
    assert 1 == await value(box, "1")


async def test_a_lane_whose_requests_are_closed_is_killed_and_replaced(box: Box) -> None:
    assert Outcome.OK == (await run(box, "import os; os.close(3)\n")).outcome
    assert Outcome.KILLED == (await run(box, "1")).outcome
    assert 1 == await value(box, "1")


async def test_a_lane_can_be_lost_and_replaced_again_and_again(box: Box) -> None:
    for _ in range(30):
        assert Outcome.KILLED == (await run(box, "import os; os._exit(0)\n")).outcome
    assert 1 == await value(box, "1")
    assert ["1"] == await value(box, "[p for p in __import__('os').listdir('/proc') if p == '1']")


async def test_killing_everything_in_reach_kills_only_what_is_inside(launcher: Launcher) -> None:
    async with (
        launcher.open_sandbox(PROFILE, SMALL) as box,
        launcher.open_sandbox(PROFILE, SMALL) as neighbour,
    ):
        await run(neighbour, "kept = 1")
        await run(box, "kept = 1", beside=True)
        assert Outcome.OK == (await run(box, "import os; os.kill(-1, 9)\n")).outcome
        assert Outcome.KILLED == (await run(box, "1", beside=True)).outcome
        assert 1 == await value(box, "1", beside=True)
        assert 1 == await value(neighbour, "kept")


@pytest.mark.parametrize("number", [9, 15, 2, 17, 19, 11, 34])
async def test_init_is_immune_to_signals_from_inside(box: Box, number: int) -> None:
    assert Outcome.OK == (await run(box, f"import os; os.kill(1, {number})\n")).outcome
    assert 1 == await value(box, "1", beside=True)  # init is needed for this


FORGED = (
    "import os, struct, json\n"
    "def frame(**f): b = json.dumps(f).encode(); return struct.pack('>I', len(b)) + b\n"
)


@pytest.mark.parametrize(
    "forged",
    [
        r"b'Traceback (most recent call last)'",
        r"b'\xff\xff\xff\xff'",
        r"struct.pack('>I', (16 << 20) + 1)",
        r"b'\0\0\0\2[]'",
        r"b'\0\0\0\x0f{\"outcome\":NaN}'",
        r"struct.pack('>I', 200_000) + b'[' * 200_000",
        r"frame(id=0, outcome='ok', value=None, error=None)",
        r"frame(id=2, outcome='ok', value=1.0, error=None)",
        r"frame(id=1, outcome='ok', value=1.0, error=None, reward=1.0)",
        r"frame(id=1, outcome='timeout', value=None, error=None)",
        r"frame(id=1, outcome='ok', value=None, error=None) * 2",
    ],
)
async def test_a_forged_frame_ends_the_session_as_protocol_violation(launcher: Launcher, forged: str) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        code = FORGED + f"open('kept', 'w').close()\nos.write(4, {forged})\nimport time; time.sleep(5)"
        observation = await run(box, code)
        assert (Outcome.PROTOCOL_VIOLATION, None) == (observation.outcome, observation.value)
        with pytest.raises(Gone, match="protocol_violation"):
            await run(box, "1")
        with pytest.raises(Gone, match="protocol_violation"):
            await run(box, "1", beside=True)
        final = await box.finish()
        assert Ending.PROTOCOL_VIOLATION == final.ended_by
        assert ["kept"] == list(final.files)
        assert [Outcome.PROTOCOL_VIOLATION] == [call.observation.outcome for call in final.calls]


async def test_a_surplus_frame_after_the_reply_is_a_violation_at_the_next_call(box: Box) -> None:
    surplus = "frame(id=1, outcome='ok', value=None, error=None)"
    later = f"os.write(4, {surplus}), open('written', 'w').close()"
    await run(box, FORGED + when_told(later))
    await value(box, TELL, beside=True)
    await wait_for_file(box, "written")
    assert Outcome.PROTOCOL_VIOLATION == (await run(box, "1")).outcome
    assert Ending.PROTOCOL_VIOLATION == await box.wait_ended()


async def test_half_a_frame_and_then_silence_is_a_timeout(box: Box) -> None:
    observation = await run(
        box, r"import os, time; os.write(4, b'\0\0\0\x10{'); time.sleep(60)" + "\n", seconds=0.2
    )
    assert observation.outcome in (Outcome.TIMEOUT, Outcome.PROTOCOL_VIOLATION)
    assert observation.value is None
