"""Long JSON values, read a piece at a time.

A trajectory with token ids has tens of megabytes. To parse it, or to spell it canonically, by one call of a C
library holds the interpreter for seconds: meanwhile no other thread runs, and the event loop is one. So a
long value is cut where its text can be cut, into its members and its elements, and each piece is worked on by
itself. What comes of it is the same as if the whole had been.

Where the cutting fails (a NaN somewhere, which Python clients write) the whole is read at one go after all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from server.canonical import canonical
from server.http.wire import Part, parse_large, split

PIECE_BYTES = 1 << 16
"""Read in a millisecond or two."""

_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


def size_of(text: Part) -> int:
    """Return how many bytes it has."""
    return len(memoryview(text))


def parse_in_pieces(text: Part, piece: int = PIECE_BYTES) -> Any:
    """Return the JSON value in `text`, which has no blanks around it, as `parse_large` does.

    Raises:
        NotJson: as `parse_large`.
    """
    if size_of(text) > piece:
        opening = bytes(memoryview(text)[:1])
        if opening == b"{":
            return {key: parse_in_pieces(part, piece) for key, part in split(text).items()}
        if opening == b"[":
            found: list[Any] = []
            for part, is_one in _elements(text, piece):
                found += [parse_in_pieces(part, piece)] if is_one else parse_large(part)
            return found
    return parse_large(text)


def spell_in_pieces(text: Part, piece: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield the canonical spelling of the JSON value in `text`, which has no blanks around it.

    Raises:
        NotJson: as `parse_large`.
        RecursionError: as `canonical`.
    """
    opening = bytes(memoryview(text)[:1]) if size_of(text) > piece else b""
    if opening == b"{":
        yield from spell_members(split(text), piece)
    elif opening == b"[":
        before = b"["
        for part, is_one in _elements(text, piece):
            yield before
            if is_one:
                yield from spell_in_pieces(part, piece)
            else:
                yield canonical(parse_large(part))[1:-1]
            before = b","
        yield b"[]" if before == b"[" else b"]"
    else:
        yield canonical(parse_large(text))


def spell_members(members: Mapping[str, Part], piece: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield the canonical spelling of the object with these members, as `spell_in_pieces` does."""
    before = b"{"
    for key, part in sorted(members.items()):
        if bytes(memoryview(part)[:5]) != b"null":
            yield before + canonical(key) + b":"
            yield from spell_in_pieces(part, piece)
            before = b","
    yield b"{}" if before == b"{" else b"}"


def _elements(text: Part, piece: int) -> Iterator[tuple[Part, bool]]:
    """Cut a long list: into lists that are not much longer than a piece, and elements that are."""
    numbers = re.compile(rb'[^"\[\]{}]{1,%d},' % piece)
    view, start = memoryview(text), 1
    # Token ids by the million: to have an object for the place of each would take more than they do.
    while (run := numbers.match(view, start)) and run.end() - start > piece // 2:
        yield b"[" + view[start : run.end() - 1] + b"]", False
        start = run.end()
    rest = text if start == 1 else b"[" + view[start:]
    try:
        elements = _ELEMENTS.decode(rest)
    except (msgspec.MsgspecError, RecursionError):  # as in `split`
        yield rest, False
        return
    group: list[Part] = []
    size = 0
    for element in elements:
        if group and size + size_of(element) > piece:
            yield b"[" + b",".join(group) + b"]", False
            group, size = [], 0
        if size_of(element) > piece:
            yield element, True
        else:
            group.append(element)
            size += size_of(element) + 1
    if group:
        yield b"[" + b",".join(group) + b"]", False
