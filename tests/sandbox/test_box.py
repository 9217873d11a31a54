"""What a live sandbox does when it is asked things, and what those inside can see and reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from sandbox import frames
from sandbox.errors import Gone
from sandbox.observation import Ending, Outcome
from tests.sandbox.handlers import PROFILE, SMALL, TELL, run, value, when_told
from tests.sandbox.kin import wait_for_file

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.launcher import Launcher


async def test_a_call_after_the_end_is_refused_with_the_ending(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        final = await box.finish()
        assert final is await box.finish()
        with pytest.raises(Gone) as gone:
            await run(box, "1")
        assert "finished" == gone.value.ending
    with pytest.raises(Gone, match="finished"):
        await run(box, "1")
    assert final is await box.finish()
    assert Ending.FINISHED == await box.wait_ended()


async def test_a_box_that_was_left_without_finish_is_closed_and_cannot_be_finished(
    launcher: Launcher,
) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        pass
    with pytest.raises(Gone, match="closed"):
        await run(box, "1")
    with pytest.raises(Gone, match="closed"):
        await box.finish()


async def test_an_errand_of_the_server_is_not_in_the_log_of_calls(box: Box) -> None:
    await box.call("echo", {"value": 1}, is_logged=False)
    await box.call("echo", {"value": 2})
    assert [{"value": 2}] == [record.arguments for record in (await box.finish()).calls]


async def test_an_unknown_tool_is_a_key_error_and_nothing_is_sent(box: Box) -> None:
    with pytest.raises(KeyError, match="gold"):
        await box.call("gold", {})
    assert 1 == await value(box, "1")


async def test_arguments_that_cannot_be_sent_leave_the_box_usable(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Outcome.OK == (await run(box, "kept = 1")).outcome
    with monkeypatch.context() as smaller:
        smaller.setattr(frames, "MAX_REQUEST_BYTES", 1000)
        with pytest.raises(frames.FrameError):
            await box.call("echo", {"value": "x" * 1000})
    with pytest.raises(TypeError):
        await box.call("echo", {"value": object()})
    with pytest.raises(ValueError, match="JSON"):
        await box.call("echo", {"value": float("nan")})
    assert 1 == await value(box, "kept")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("(", "SyntaxError: '(' was never closed (<code>, line 1)"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: the call was interrupted"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("class Bad(Exception):\n  def __str__(self): raise SystemExit\nraise Bad", "Bad"),
        ("object()", "unusable result: Object of type object is not JSON serializable"),
        ("float('nan')", "unusable result: Out of range float values are not JSON compliant"),
        ("{'a': set()}", "unusable result: Object of type set is not JSON serializable"),
        ("result = x = []; x.append(x)", "unusable result: Circular reference detected"),
        ("'x' * (17 << 20)", "unusable result: a message of 178258"),
    ],
)
async def test_what_goes_wrong_in_a_call_is_its_error_and_state_lives_on(
    box: Box, code: str, error: str
) -> None:
    await run(box, "kept = 41")
    observation = await run(box, code)
    assert Outcome.ERROR == observation.outcome
    assert observation.value is None
    assert observation.error is not None
    assert observation.error.startswith(error)
    assert not observation.interpreter_reset
    assert 42 == await value(box, "kept + 1")


@pytest.mark.parametrize("depth", [frames.MAX_DEPTH, 900, 100_000])
async def test_a_result_nested_too_deep_is_an_error_of_the_call(box: Box, depth: int) -> None:
    observation = await run(box, f"x = []\nfor _ in range({depth}): x = [x]\nresult = x")
    assert Outcome.ERROR == observation.outcome
    assert observation.error is not None
    assert observation.error.startswith("unusable result")
    assert 1 == await value(box, "1")


async def test_wrong_arguments_are_an_error_of_the_call(box: Box) -> None:
    observation = await box.call("run", {"cod": "1"})
    assert Outcome.ERROR == observation.outcome
    assert observation.error is not None
    assert "unexpected keyword argument 'cod'" in observation.error


async def test_failed_carries_its_value_out(box: Box) -> None:
    observation = await run(box, "raise Failed({'exit_code': 3})")
    assert (Outcome.ERROR, {"exit_code": 3}, None) == (
        observation.outcome,
        observation.value,
        observation.error,
    )


async def test_an_exception_that_is_only_called_failed_is_described(box: Box) -> None:
    code = "class Failed(Exception): value = 'forged'\nraise Failed('why')\n"
    observation = await run(box, code)
    assert (Outcome.ERROR, None, "Failed: why") == (observation.outcome, observation.value, observation.error)


async def test_writing_into_a_broken_pipe_is_an_exception_as_in_any_python(box: Box) -> None:
    code = (
        "import os\n"
        "r, w = os.pipe()\n"
        "os.close(r)\n"
        "try: os.write(w, b'x')\n"
        "except OSError as e: result = type(e).__name__"
    )
    assert "BrokenPipeError" == await value(box, code)


async def test_a_child_that_forgets_to_exit_does_not_answer_in_its_parents_place(box: Box) -> None:
    await run(box, "import os; own = os.getpid()")
    assert await value(box, "pid = os.fork()\nresult = os.getpid() == own")
    assert await value(box, "os.getpid() == own")
    assert [True, 0] == await value(box, "[(told := os.waitpid(pid, 0))[0] == pid, told[1]]")
    observation = await run(box, "import os\nif os.fork() == 0: raise ValueError\nos.wait()\n")
    assert Outcome.OK == observation.outcome


async def test_state_lasts_from_call_to_call_and_each_lane_has_its_own(box: Box) -> None:
    await run(box, "x = 1")
    await run(box, "x += 1")
    await run(box, "x = 'other'", beside=True)
    assert 2 == await value(box, "x")
    assert "other" == await value(box, "x", beside=True)


async def test_lanes_share_the_files(box: Box) -> None:
    await run(box, "open('a', 'w').write('from the first')")
    assert "from the first" == await value(box, "open('/workspace/a').read()", beside=True)


async def test_lanes_run_side_by_side(box: Box) -> None:
    await value(box, "1", beside=True)
    wait_for_other = (
        "import os, time\nopen('{}', 'w').close()\nwhile not os.path.exists('{}'): time.sleep(0.001)\n"
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(value, box, wait_for_other.format("a", "b"))
        await value(box, wait_for_other.format("b", "a"), beside=True)


async def test_calls_on_one_lane_take_turns_in_the_order_in_which_they_came(box: Box) -> None:
    await run(box, "import time; order = []")
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(
                run, box, f"order.append({number}); time.sleep(0.02); order.append({number})\n"
            )
            await trio.testing.wait_all_tasks_blocked(0.001)
    assert [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] == await value(box, "order")


@pytest.mark.parametrize("after", [0.0, 0.003, 0.1])
async def test_a_call_that_was_cancelled_gives_the_next_one_a_fresh_process(box: Box, after: float) -> None:
    await run(box, "open('kept', 'w').close(); lost = 1\n")
    with trio.move_on_after(after) as scope:
        await run(box, "import time; time.sleep(30)\n")
    assert scope.cancelled_caught
    observation = await run(box, "'lost' in globals()")
    assert Outcome.OK == observation.outcome
    assert observation.interpreter_reset == (observation.value is False)
    assert await value(box, "import os; result = os.path.exists('kept')")


async def test_a_call_that_is_given_no_time_is_over_at_once(box: Box) -> None:
    started = trio.current_time()
    assert Outcome.TIMEOUT == (await run(box, "import time; time.sleep(30)\n", seconds=0.0)).outcome
    assert trio.current_time() - started < SMALL.call_seconds / 2


async def test_a_large_argument_and_a_large_result_cross(box: Box) -> None:
    large = "é" * (2 << 20)
    assert large == (await box.call("echo", {"value": large})).value


async def test_any_json_crosses_unchanged(box: Box) -> None:
    thing = {"a": [1, -(2**70), 1.5, True, None, "\ud800\x00\n"], "": {}}
    assert thing == (await box.call("echo", {"value": thing})).value


async def test_streams_are_kept_apart_and_belong_to_their_call(box: Box) -> None:
    first = await run(box, "import sys; print('out'); print('err', file=sys.stderr)\n")
    second = await run(box, "print('again', end='')")
    assert ("out\n", "err\n") == (first.stdout, first.stderr)
    assert ("again", "") == (second.stdout, second.stderr)


async def test_what_children_print_is_seen_and_what_is_no_utf8_is_replaced(box: Box) -> None:
    observation = await run(box, "import subprocess; subprocess.run(['printf', r'a\\xffb\\x1b[31m'])\n")
    assert "a\ufffdb\x1b[31m" == observation.stdout


async def test_what_is_printed_between_calls_comes_with_the_next(box: Box) -> None:
    await run(box, when_told("print('later', flush=True), open('printed', 'w').close()"))
    await value(box, TELL, beside=True)
    await wait_for_file(box, "printed")
    assert "later\n" == (await run(box, "1")).stdout


async def test_closed_and_replaced_streams_do_no_harm(box: Box) -> None:
    assert Outcome.OK == (await run(box, "import os, sys; os.close(1); os.close(2)\n")).outcome
    assert Outcome.OK == (await run(box, "sys.stdout = sys.stderr = None\n")).outcome
    assert Outcome.OK == (await run(box, "1")).outcome


async def test_a_slow_call_with_closed_streams_is_still_waited_for(box: Box) -> None:
    assert "done" == await value(
        box, "import os, time; os.close(1); os.close(2); time.sleep(0.1); result = 'done'\n"
    )


async def test_the_log_holds_every_call_as_we_saw_it(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        first = await run(box, "print(1)")
        second = await run(box, "1 / 0")
        final = await box.finish()
    assert [("run", {"code": "print(1)"}, first), ("run", {"code": "1 / 0"}, second)] == [
        (call.tool, call.arguments, call.observation) for call in final.calls
    ]


async def test_use_is_measured(launcher: Launcher) -> None:
    async with launcher.open_sandbox(PROFILE, SMALL) as box:
        await run(box, "import time\nwhile time.process_time() < 0.3: pass")
        final = await box.finish()
    assert 0.25 <= final.usage.cpu_seconds < 3
    if box.posture.memory_bound_by != "watchdog":
        assert final.usage.peak_memory_bytes is not None
        assert 1 << 20 < final.usage.peak_memory_bytes <= SMALL.memory_bytes
