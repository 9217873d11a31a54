"""Puts a member into a JSON object's text without touching any other byte of it.

A verify reply repeats the request as it came, number by number. The one thing that changes in it is
``response.metadata``, where the reference to the captured state goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]')
"""Strings and brackets; numbers, commas and what is in a string are skipped at the speed of `re`. To choose
for each character of a string would take seconds over a long trajectory, while nobody is served."""

_BLANK = b" \t\n\r"


def with_member(text: bytes, path: tuple[str, str], key: str, value: str) -> bytes | None:
    """Return `text` with ``key: value`` put in front of the members of the object at `path`.

    Args:
        text: a JSON object, known to be valid.
        path: keys of the outer and the inner object. The outer one must be there; the inner one is made
            if it is null or absent.
        key: of the new member.
        value: of the new member.

    Returns:
        None where this cannot be done by one insertion: no such outer object, an inner value that is no
        object, a key that occurs twice or is there already. Then the whole must be written anew.
    """
    member = json.dumps(key).encode() + b":" + json.dumps(value).encode()
    outer = _find(text, _start(text, 0), path[0])
    if not outer or len(outer) > 1 or text[outer[0]] != ord("{"):
        return None
    inner = _find(text, outer[0], path[1])
    if not inner:
        return _insert(text, outer[0], json.dumps(path[1]).encode() + b":{" + member + b"}")
    (place, *more) = inner
    if more:
        return None
    if text.startswith(b"null", place):
        return text[:place] + b"{" + member + b"}" + text[place + 4 :]
    if text[place] != ord("{") or _find(text, place, key):
        return None
    return _insert(text, place, member)


def _insert(text: bytes, brace: int, member: bytes) -> bytes:
    """Return `text` with a member behind the opening brace at `brace`."""
    comma = b"" if text[_start(text, brace + 1)] == ord("}") else b","
    return text[: brace + 1] + member + comma + text[brace + 1 :]


def _find(text: bytes, brace: int, key: str) -> list[int]:
    """Return where the values of `key` start in the object that opens at `brace`."""
    return [start for name, start in _members(text, brace) if name == key]


def _members(text: bytes, brace: int) -> Iterator[tuple[str, int]]:
    """Go through the members of the object that opens at `brace`: key, and where the value starts."""
    depth = 0
    for token in _TOKEN.finditer(text, brace):
        sign = token[0][:1]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
            if depth == 0:
                return
        elif depth == 1:
            colon = _start(text, token.end())
            if text[colon] == ord(":"):  # or it is a string among the values
                yield json.loads(token[0]), _start(text, colon + 1)


def _start(text: bytes, place: int) -> int:
    """Return the first place from `place` on that is not blank."""
    while text[place] in _BLANK:
        place += 1
    return place
