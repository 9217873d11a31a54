"""Rollouts whose verdicts are known: half of them right, half wrong, some near their limit of time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import attrs

from server.environment import Environment, Rollout, Verdict
from server.verify.extraction import last_code_block
from server.verify.programs import ProgramCase, ProgramVerifier

CPU_SECONDS = 1
"""Processor time that a program may take."""

NEAR, OVER = 0.75, 1.5
"""Work of those near the limit and of those over it, in shares of the limit, as measured beforehand."""

_WORK = """
def work(rounds):
    total = 0
    for number in range(rounds):
        total = (total * 31 + number) % 1000003
    return total
"""


class Timed(Environment[dict[str, Any]]):
    """Judges one program by what it prints, within one second of processor time."""

    async def verify(self, rollout: Rollout[dict[str, Any]]) -> Verdict:
        """Run it on two inputs."""
        cases = [ProgramCase(f"{number}\n", f"{2 * number}\n") for number in (21, 4)]
        source = last_code_block(rollout.final_text) or ""
        report = await ProgramVerifier(cpu_seconds=CPU_SECONDS).verify(rollout, source, cases)
        return Verdict(float(report.passed), {"cases": [str(result.verdict) for result in report.results]})


@attrs.frozen
class Known:
    """A program and what it must be worth.

    Attributes:
        kind: what is known of it.
        source: the program.
        reward: what it must get.
    """

    kind: str
    source: str = attrs.field(repr=False)
    reward: float

    @property
    def response(self) -> Mapping[str, Any]:
        """The trajectory whose last message has the program."""
        content = [{"type": "output_text", "text": f"```python\n{self.source}\n```"}]
        return {"output": [{"type": "message", "role": "assistant", "content": content}]}


def rounds_per_second() -> float:
    """Return how much of the work is done in a second of processor time here; the best of three."""
    namespace: dict[str, Any] = {}
    exec(_WORK, namespace)  # noqa: S102  # our own text, the same that the programs have
    rounds, best = 1_000_000, 0.0
    for _ in range(3):
        started = time.process_time()
        namespace["work"](rounds)
        best = max(best, rounds / (time.process_time() - started))
    return best


def known(number: int, per_second: float) -> Sequence[Known]:
    """Return `number` rollouts, right ones and wrong ones in turn."""
    right, answer = "print(2 * int(input()))", "number = int(input())\n"
    near, over = (f"{_WORK}\nwork({int(share * CPU_SECONDS * per_second)})\n" for share in (NEAR, OVER))
    good = (
        Known("right", right, 1.0),
        Known("right, near the limit", near + right, 1.0),
        Known("right, a child does it", _CHILD, 1.0),
        Known("right", right, 1.0),
    )
    bad = (
        Known("wrong answer", "print(3 * int(input()))", 0.0),
        Known("right, over the limit", over + right, 0.0),
        Known("right once only", answer + "print(42 if number == 21 else 0)", 0.0),
        Known("crashes", right + "\n1 / 0", 0.0),
        Known("wrong, near the limit", near + "print(0)", 0.0),
    )
    pairs = zip(cycle(good), cycle(bad), strict=False)
    return tuple(islice((each for pair in pairs for each in pair), number))


_CHILD = """
import subprocess, sys
command = [sys.executable, "-I", "-c", f"print(2 * {int(input())})"]
print(subprocess.run(command, capture_output=True, text=True).stdout, end="")
"""
