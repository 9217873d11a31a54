"""What is done inside a sandbox, in terms of a box and of handlers that only the server calls."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from sandbox.observation import Observation, Outcome
from sandbox.profile import Handler
from server.errors import InvalidBody, TooLong
from server.toolbox import Toolbox
from tools.shapes import is_dict
from tools.transfer import PIECE_BYTES

if TYPE_CHECKING:
    from sandbox.box import Box
    from sandbox.profile import Profile

LANES = 4
"""Commands that one sandbox runs at once; further ones wait for their turn."""

RUNNERS = tuple(
    Handler(name=f"creche:run_{lane}", lane=f"run_{lane}", target="tools.commands:run_command", streams=True)
    for lane in range(LANES)
)
_PUT, _GET, _MAKE = (
    Handler(name=f"creche:{name}", lane="tools", target=f"tools.transfer:{name}")
    for name in ("put_piece", "get_piece", "make_folder")
)

RUNTIME_FAILURE = 125
"""The return code of a command that did not come to have one, as container runtimes have it."""


def profile_like(profile: Profile) -> Profile:
    """Return a profile with the same interpreter, packages and limits, and with the handlers for errands."""
    return Toolbox.of(("python",), (*RUNNERS, _PUT, _GET, _MAKE)).equip(attrs.evolve(profile, name="sandbox"))


def result_of(observation: Observation) -> dict[str, Any]:
    """Return what a command came to, in the terms of container runtimes."""
    value = observation.value
    code = value.get("exit_code") if is_dict(value) else None
    reply: dict[str, Any] = {
        "stdout": observation.stdout,
        "stderr": observation.stderr,
        "return_code": RUNTIME_FAILURE if code is None else code,
        "error_type": None,
        "outcome": str(observation.outcome),
    }
    if code is None:
        reply["error_type"] = "timeout" if observation.outcome is Outcome.TIMEOUT else "sandbox"
        reply["error"] = observation.error
    if observation.truncated:
        reply["truncated"] = list(observation.truncated)
    return reply


async def make_folder(box: Box, path: str) -> None:
    """Make a folder, if it is not there.

    Raises:
        InvalidBody: it cannot be made there.
        Gone: see there.
    """
    _value(await box.call(_MAKE.name, {"path": path}, is_logged=False), "workdir")


async def put_file(box: Box, path: str, content: bytes) -> None:
    """Write a file.

    Raises:
        InvalidBody: it cannot be written: a bad path, or no space left.
        Gone: see there.
    """
    for offset in range(0, len(content) or 1, PIECE_BYTES):
        piece = base64.b64encode(content[offset : offset + PIECE_BYTES]).decode("ascii")
        arguments = {"path": path, "offset": offset, "data": piece}
        _value(await box.call(_PUT.name, arguments, is_logged=False), "path")


async def get_file(box: Box, path: str, most_bytes: int) -> bytes:
    """Read a file.

    Raises:
        InvalidBody: there is no such regular file.
        TooLong: it is longer than `most_bytes`.
        Gone: see there.
    """
    content = b""
    while True:
        seen = await box.call(_GET.name, {"path": path, "offset": len(content)}, is_logged=False)
        size, data = _piece(_value(seen, "path"))
        if size > most_bytes or len(content) > most_bytes:
            msg = f"the file is longer than {most_bytes} bytes (body_bytes)"
            raise TooLong(msg)
        content += data
        if len(data) < PIECE_BYTES:
            return content


def _piece(value: Mapping[str, Any]) -> tuple[int, bytes]:
    """Return a file's size and a piece of it. What runs in a sandbox may answer anything in its place."""
    size, data = value.get("size"), value.get("data")
    if type(size) is int and isinstance(data, str):
        with suppress(ValueError):
            return size, base64.b64decode(data, validate=True)
    raise _wrong(field="path", words="what answers in the sandbox did not say what is in the file")


def _value(observation: Observation, field: str) -> dict[str, Any]:
    value = observation.value
    if observation.outcome is Outcome.OK and is_dict(value):
        return value
    raise _wrong(field=field, words=observation.error or str(observation.outcome))


def _wrong(*, field: str, words: str) -> InvalidBody:
    return InvalidBody([{"type": "value_error", "loc": ["body", field], "msg": words, "input": None}])
