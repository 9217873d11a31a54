"""Finds the code in a message.

The rules, in order:

1. A fence is a line that holds, after any indentation, three or more backticks or tildes. What follows the
   opening one (``python``, say) is not looked at; a line with backticks further on is no fence.
2. A block ends at the first line that is nothing but the same character, at least as many of them.
3. The last block that ends is the answer. One that never does was cut off, and is none.
4. The fence's own indentation is taken off the block's lines, as far as they have it.
"""

from __future__ import annotations

import re

_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}(?=[^`]*$)|~{3,})")


def last_code_block(text: str) -> str | None:
    """Return the content of the last fenced code block of `text`, or None if there is no whole one.

    A message that opens a block after its last whole one still has that whole one for an answer.
    """
    found: str | None = None
    block: list[str] = []
    fence, indent = "", ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if not fence:
            opening = _OPENING.match(line)
            if opening is not None:
                fence, indent, block = opening["fence"], opening["indent"], []
        elif _closes(line.strip(), fence):
            found, fence = "\n".join(block), ""
        else:
            block.append(_without(indent, line))
    return found


def _closes(line: str, fence: str) -> bool:
    return len(line) >= len(fence) and not line.strip(fence[0])


def _without(indent: str, line: str) -> str:
    start = 0
    while start < len(indent) and line[start : start + 1] in (" ", "\t"):
        start += 1
    return line[start:]
