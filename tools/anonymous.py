"""Files without a name, for what a shell is to read."""

from __future__ import annotations

import os


def anonymous_file() -> int:
    """Return an empty one, of memory if possible: a full disk must not end who reads it.

    Raises:
        OSError: there is no room on the disk either.
    """
    try:
        return os.memfd_create("command")
    except OSError:  # a session whose memory no control group counts has none
        import tempfile  # no lane pays for what is rarely used

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def fill(descriptor: int, content: bytes) -> None:
    """Make `content` what the file holds.

    Raises:
        OSError: it does not fit. The file holds a part of it, or nothing, and must not be read.
    """
    os.ftruncate(descriptor, 0)
    rest, offset = memoryview(content), 0
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
