"""Final variables: what a session's interpreter says of itself just before it is killed.

All else that a verifier gets is seen from outside a dead session. This is asked of a live and hostile one, by
a handler in the interpreter that the model's code ran in, so it is kept apart under the name of claims: good
for what a model has no reason to forge, such as an answer that is compared with a hidden one anyway, and no
evidence of how it came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import SandboxError
from sandbox.frames import FrameError
from sandbox.observation import Outcome
from sandbox.profile import Handler
from server.logs import get_logger
from tools import plain
from tools.shapes import is_dict
from tools.variables import MAX_CHARACTERS

if TYPE_CHECKING:
    from sandbox.box import Box

log = get_logger("claims")

READER = Handler(name="creche:read_variables", lane="python", target="tools.variables:read_variables")
"""Present in sessions whose environment names final variables."""


async def ask_for_variables(box: Box, names: Sequence[str], seconds: float) -> dict[str, str]:
    """Return name to value, as texts of `tools.plain`, as far as `box` tells them in time.

    Never raises for what the box does, and takes little longer than `seconds`: a session that does not answer
    claims nothing.
    """
    with trio.move_on_after(seconds):
        try:
            seen = await box.call(READER.name, {"names": list(names)}, seconds=seconds, is_logged=False)
        except (SandboxError, FrameError) as error:
            log.info("no claims", reason=str(error))
            return {}
        if seen.outcome is Outcome.OK and is_dict(seen.value):
            told = {name: seen.value.get(name) for name in names}
            return {
                name: text
                for name, text in told.items()
                if isinstance(text, str) and len(text) <= MAX_CHARACTERS
            }
    return {}


def read_claims(claims: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of claims, made of exact builtin types; those that make no sense are left out."""
    values: dict[str, Any] = {}
    for name, text in claims.items():
        try:
            values[name] = plain.loads(text)
        except plain.PlainError:
            continue
    return values
