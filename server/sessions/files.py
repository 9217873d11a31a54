"""How the server itself writes files into a live session: through a handler inside, never from outside.

The session's own file system is only ever touched by the session's own processes while it lives: a write
from outside would have to defend itself against every link and mount that the model can make.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sandbox.observation import Outcome
from sandbox.profile import Handler

if TYPE_CHECKING:
    from sandbox.box import Box

WRITER = Handler(name="creche:write_bytes", lane="tools", target="tools.files:write_bytes")
"""Present in every session. The colon keeps it apart from any tool that a model can name."""


class SeedError(Exception):
    """A session could not be prepared as the environment wanted. The message says what failed."""


async def write_file(box: Box, path: str, content: str | bytes) -> None:
    """Write `content` to `path` inside `box`.

    Raises:
        SeedError: the write was refused or did not finish.
        Gone: the box has ended.
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    arguments = {"path": path, "data": base64.b64encode(data).decode("ascii")}
    observation = await box.call(WRITER.name, arguments, is_logged=False)
    if observation.outcome is not Outcome.OK:
        msg = f"could not write {path!r} into the session: {observation.error or observation.outcome}"
        raise SeedError(msg)
