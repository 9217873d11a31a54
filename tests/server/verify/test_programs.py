"""Programs judged by what they print: honest ones, wrong ones, and ones that try to get round it."""

from __future__ import annotations

import attrs
import pytest
import trio

from sandbox.limits import MIB
from server.verify.boxes import LIMITS
from server.verify.comparators import exactly
from server.verify.programs import ProgramCase, ProgramVerifier
from server.verify.setup import SETUP
from server.verify.verdicts import CaseVerdict
from tests.server.verify.conftest import Opener

QUICK = ProgramVerifier(setup=SETUP, cpu_seconds=1, wall_seconds=30.0)
HASTY = attrs.evolve(QUICK, wall_seconds=4.0)
"""For what sleeps."""

DOUBLED = (ProgramCase("4\n", "8\n"), ProgramCase("21\n", "42\n"))


async def verdict_on(
    opener: Opener, source: str, *cases: ProgramCase, by: ProgramVerifier = QUICK
) -> CaseVerdict:
    report = await by.verify(opener, source, cases)
    return report.results[-1].verdict


@pytest.mark.parametrize(
    "source",
    [
        "print(int(input()) * 2)",
        "import sys\nfor line in sys.stdin: print(2 * int(line))",
        "import sys\nprint(2 * int(sys.stdin.buffer.read()))",
        "print(2 * int(open(0).read()))",
        "print(2 * int(open('/proc/self/fd/0').read()))",
        "if __name__ == '__main__':\n    print(2 * int(input()))",
        "import sys\nprint(2 * int(input()))\nsys.exit()",
        "import os\nprint(2 * int(input()), flush=True)\nos._exit(0)",
        "import threading\nthreading.Thread(target=lambda: print(2 * int(input()))).start()",
        "import atexit\natexit.register(lambda: print(2 * int(input())))",
        "import subprocess\nsubprocess.run(['sh', '-c', 'read n; echo $((2 * n))'])",
        "def down(n):\n    return 0 if n == 0 else down(n - 1)\nprint(2 * int(input()) + down(20_000))",
        "def f(xs: List[int]) -> int:\n    heapify(xs)\n    return 2 * xs[0]\nprint(f([int(input())]))",
    ],
)
async def test_a_program_may_read_and_end_in_any_ordinary_way(opener: Opener, source: str) -> None:
    report = await QUICK.verify(opener, source, DOUBLED)
    assert report.passed


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", CaseVerdict.WRONG_ANSWER),
        ("print(7)", CaseVerdict.WRONG_ANSWER),
        ("print(8)\nprint(8)", CaseVerdict.WRONG_ANSWER),
        ("print('x' * 10_000_000)", CaseVerdict.WRONG_ANSWER),
        ("print(8)\n1 / 0", CaseVerdict.ERROR),
        ("print(8)\nexit(3)", CaseVerdict.ERROR),
        ("print(8) (", CaseVerdict.ERROR),
        ("print(8, flush=True)\nimport os\nos.abort()", CaseVerdict.ERROR),
        ("while True: pass", CaseVerdict.TIMEOUT),
        ("import time\ntime.sleep(60)", CaseVerdict.TIMEOUT),
        ("import os\nprint(8, flush=True)\nos.kill(os.getppid(), 9)\nwhile 1: pass", CaseVerdict.ERROR),
    ],
)
async def test_a_program_that_fails_says_how(opener: Opener, source: str, expected: CaseVerdict) -> None:
    by = HASTY if "time.sleep" in source else QUICK
    assert expected == await verdict_on(opener, source, DOUBLED[0], by=by)


async def test_a_program_that_takes_too_much_memory_is_out_of_memory(opener: Opener) -> None:
    small = attrs.evolve(QUICK, limits=attrs.evolve(LIMITS, memory_bytes=96 * MIB))
    source = "data = []\nwhile True: data.append(b'x' * 1_000_000)"
    assert await verdict_on(opener, source, DOUBLED[0], by=small) is CaseVerdict.OUT_OF_MEMORY


async def test_a_large_input_and_a_large_output_pass_whole(opener: Opener) -> None:
    text = "0123456789abcde\n" * 250_000
    by = attrs.evolve(QUICK, compare=exactly, cpu_seconds=10)
    assert (
        await verdict_on(opener, "print(open(0).read(), end='')", ProgramCase(text, text), by=by) == "passed"
    )


async def test_the_first_failed_case_ends_the_suite_unless_all_are_wanted(opener: Opener) -> None:
    cases = [ProgramCase("", "7"), ProgramCase("", "8"), ProgramCase("", "7")]
    report = await QUICK.verify(opener, "print(8)", cases)
    assert (False, 1, 3) == (report.passed, len(report.results), report.cases)
    report = await attrs.evolve(QUICK, stop_at_first=False).verify(opener, "print(8)", cases)
    assert ["wrong_answer", "passed", "wrong_answer"] == [result.verdict for result in report.results]


async def test_no_cases_are_no_pass(opener: Opener) -> None:
    report = await QUICK.verify(opener, "print(8)", [])
    assert not report.passed


async def test_what_one_case_leaves_behind_is_not_there_in_the_next(opener: Opener) -> None:
    source = """
import os, subprocess
print(sum(name.startswith("left") for place in (".", "/tmp", "/dev/shm") for name in os.listdir(place)))
for place in (".", "/tmp", "/dev/shm"):
    open(f"{place}/left", "w").close()
subprocess.Popen(["sleep", "1000"])
"""
    report = await QUICK.verify(opener, source, [ProgramCase("", "0")] * 3)
    assert report.passed


async def test_the_expected_output_is_nowhere_in_the_programs_reach(opener: Opener) -> None:
    secret = "a-very-particular-answer"  # none
    source = f"""
import gc, glob, sys
found = []
frame = sys._getframe()
while frame:
    found.append(repr(frame.f_locals))
    frame = frame.f_back
found += [repr(each) for each in gc.get_objects() if isinstance(each, (dict, str, list))]
for name in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ") + glob.glob("/tmp/*"):
    try:
        found.append(open(name, errors="replace").read())
    except OSError:
        pass
wanted = "{secret[::-1]}"[::-1]
print(wanted if any(wanted in each for each in found if len(each) < 10_000_000) else "not found")
"""
    by = attrs.evolve(QUICK, cpu_seconds=10)  # to look at all that takes a good part of a second
    assert await verdict_on(opener, source, ProgramCase("", secret), by=by) is CaseVerdict.WRONG_ANSWER


async def test_a_suite_ends_before_its_caller_would_cut_it_off(opener: Opener) -> None:
    hasty = attrs.evolve(QUICK, total_seconds=0.2)
    report = await hasty.verify(opener, "import time\ntime.sleep(0.3)\nprint(8)", [ProgramCase("", "8")] * 3)
    assert ["passed", "timeout"] == [result.verdict for result in report.results]
    assert not report.passed


async def test_a_program_that_outwaits_its_verdict_is_a_timeout_and_no_lost_verdict(opener: Opener) -> None:
    by = ProgramVerifier()
    with trio.fail_after(12):
        verdict = await verdict_on(opener, "import time\ntime.sleep(60)\nprint(8)", DOUBLED[0], by=by)
    assert verdict is CaseVerdict.TIMEOUT


BURN = """
import os, time
def burn():
    end = time.process_time() + 0.8
    while time.process_time() < end: pass
"""
SHARED = {
    "children, one after the other": """
for _ in range(3):
    if os.fork() == 0:
        burn()
        os._exit(0)
    os.wait()
print(8)
""",
    "a child goes on where its parent stops": """
for _ in range(3):
    if os.fork():
        os.wait()
        os._exit(0)
    burn()
print(8, flush=True)
os._exit(0)
""",
    "nobody waits for them": """
reading, writing = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        burn()
        os.write(writing, b"x")
        time.sleep(1000)
    os.read(reading, 1)
print(8)
""",
    "orphans in sessions of their own": """
reading, writing = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            burn()
            os.write(writing, b"x")
            time.sleep(1000)
        os._exit(0)
    os.read(reading, 1)
print(8)
""",
}


@pytest.mark.parametrize("source", SHARED.values(), ids=SHARED)
async def test_work_shared_out_among_processes_counts_as_one_programs(opener: Opener, source: str) -> None:
    by = attrs.evolve(QUICK, wall_seconds=20.0)
    assert await verdict_on(opener, BURN + source, DOUBLED[0], by=by) is CaseVerdict.TIMEOUT


async def test_the_lane_cannot_be_looked_into_by_the_program(opener: Opener) -> None:
    source = """
import os
for name in ("fd", "mem", "environ"):
    try:
        path = f"/proc/{os.getppid()}/{name}"
        print(os.listdir(path) if name == "fd" else open(path, "rb"))
    except OSError:
        continue
print(8)
"""
    assert await verdict_on(opener, source, DOUBLED[0]) is CaseVerdict.PASSED
