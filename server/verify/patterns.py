"""A data set's own regular expressions on what a model wrote.

Python's engine can take time that grows exponentially with the text, and holds up every thread meanwhile. So
it runs in a sandbox and under a deadline; a text that takes longer does not match.
"""

from __future__ import annotations

from sandbox.observation import Outcome
from server.verify.boxes import OpensSandboxes, ask
from server.verify.verdicts import UnusableTestError
from tools.shapes import is_dict

MAX_CHARACTERS = 200_000


async def last_match(
    opener: OpensSandboxes, pattern: str, text: str, *, ignore_case: bool = False, seconds: float = 5.0
) -> str | None:
    """Return what the last match of `pattern` captured: its first group that is not blank, or all of it.

    Args:
        opener: opens the sandbox.
        pattern: the data set's; ``^`` and ``$`` are ends of lines, a dot is any character.
        text: the model's; only its end is searched if it is longer than `MAX_CHARACTERS`.
        ignore_case: whether capitals do not count.
        seconds: how long it may take.

    Raises:
        UnusableTestError: the pattern is none.
        SandboxError: a sandbox could not be had, which is our failure and no verdict.
    """
    arguments = {"pattern": pattern, "text": text[-MAX_CHARACTERS:], "ignore_case": ignore_case}
    async with opener.open_sandbox() as box:
        seen = await ask(box, "last_match", arguments, seconds)
    if seen.outcome is not Outcome.OK or not is_dict(seen.value):
        return None
    if "error" in seen.value:
        msg = f"the row's pattern is none: {seen.value['error']}"
        raise UnusableTestError(msg)
    found = seen.value.get("found")
    return found if isinstance(found, str) else None
