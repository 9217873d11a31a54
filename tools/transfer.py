"""Files in and out of a sandbox, piece by piece, for the server's own errands: not offered to models."""

from __future__ import annotations

import base64
import os
import stat
from typing import Any

from tools.files import absolute, plainly, regular
from tools.registry import tool

PIECE_BYTES = 4 * 1024 * 1024
"""What is carried at once: in base64 well below what one message may be long."""


@tool(name="put_piece", description="Write a piece of a file.")
def put_piece(state: dict[str, Any], path: str, offset: int, data: str) -> dict[str, Any]:
    """Write at `offset`, and end the file there.

    Args:
        state: what lasts in the lane.
        path: the file, relative to /workspace; folders on the way are made.
        offset: where the piece begins; 0 begins a new file.
        data: the piece in base64.

    Raises:
        OSError: it could not be written.
    """
    content = base64.b64decode(data)
    if not offset:
        with plainly(path):
            os.makedirs(os.path.dirname(absolute(path)), exist_ok=True)
    with regular(path, os.O_WRONLY | os.O_CREAT) as descriptor:
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return {"bytes": offset + len(content)}


@tool(name="get_piece", description="Read a piece of a file.")
def get_piece(state: dict[str, Any], path: str, offset: int) -> dict[str, Any]:
    """Read the `PIECE_BYTES` from `offset` on.

    Args:
        state: what lasts in the lane.
        path: a regular file, relative to /workspace.
        offset: where the piece begins.

    Returns:
        ``{"data": base64, "size": n}`` with the size of the whole file.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    with regular(path, os.O_RDONLY) as descriptor:
        data = os.pread(descriptor, PIECE_BYTES, offset)
        size = os.fstat(descriptor).st_size
    return {"data": base64.b64encode(data).decode("ascii"), "size": size}


@tool(name="make_folder", description="Make a folder.")
def make_folder(state: dict[str, Any], path: str) -> dict[str, Any]:
    """Make a folder and those on the way; it may be there already.

    Args:
        state: what lasts in the lane.
        path: the folder, relative to /workspace.

    Raises:
        OSError: it could not be made.
    """
    with plainly(path):
        full = absolute(path)
        os.makedirs(full, exist_ok=True)
        return {"is_folder": stat.S_ISDIR(os.stat(full).st_mode)}
