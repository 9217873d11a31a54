"""What the sandboxes of these tests can be asked: run a piece of Python, on one of two lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from sandbox.limits import Limits
from sandbox.observation import Observation, Outcome
from sandbox.profile import Handler, Profile

if TYPE_CHECKING:
    from sandbox.box import Box

SOURCE = '''
class Failed(Exception):
    """Carries a value out, as the one in `tools.registry` does."""

    carries_value = True

    def __init__(self, value):
        super().__init__(value)
        self.value = value


def run(state, code):
    """Return the value of an expression, or what statements leave in `result`."""
    names = state.setdefault("names", {"Failed": Failed})
    try:
        return eval(compile(code, "<code>", "eval"), names)
    except SyntaxError:
        pass
    names["result"] = None
    exec(compile(code, "<code>", "exec"), names)
    return names["result"]


def echo(state, value):
    return value
'''


def handler(name: str, lane: str, function: str = "run") -> Handler:
    return Handler(name=name, lane=lane, target=f"handlers:{function}", source=SOURCE, streams=True)


PROFILE = Profile(
    name="tests",
    handlers=(handler("run", "first"), handler("echo", "first", "echo"), handler("beside", "second")),
)

LOOPBACK = attrs.evolve(PROFILE, name="tests-loopback", network="loopback")

SMALL = Limits(
    call_seconds=20.0,
    memory_bytes=96 << 20,
    processes=24,
    disk_bytes=16 << 20,
    disk_inodes=256,
    output_bytes=4096,
    flood_bytes=1 << 20,
    final_state_bytes=1 << 20,
    final_state_files=32,
)
"""Limits that a test can hit in a moment."""


BEGUN_SECONDS = 3.0
"""A deadline before which any call is under way, on a busy machine too."""


async def run(box: Box, code: str, *, seconds: float | None = None, beside: bool = False) -> Observation:
    """Run `code` in a sandbox of one of the profiles above; on the second lane if it is to be `beside`."""
    return await box.call("beside" if beside else "run", {"code": code}, seconds=seconds)


def when_told(statement: str) -> str:
    """Return code that has a thread run a statement as soon as `TELL` was run on the second lane.

    So the call that the code is run in is over by then, however slow the machine is.
    """
    return f"""
import os, threading, time
def wait():
    while not os.path.exists("/workspace/told"): time.sleep(0.001)
    {statement}
threading.Thread(target=wait).start()
"""


TELL = "open('/workspace/told', 'w').close()"


async def value(box: Box, code: str, *, beside: bool = False) -> Any:
    """Run `code`, which must go well, and return its value."""
    observation = await run(box, code, beside=beside)
    assert Outcome.OK == observation.outcome, observation
    return observation.value
