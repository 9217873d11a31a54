"""Which code of a message is the answer."""

from __future__ import annotations

import pytest

from server.verify.extraction import last_code_block


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("Try this:\n```py\nold\n```\nor rather\n```python\nnew\n\nlines\n```\nGood?", "new\n\nlines"),
        ("~~~\nx\n~~~", "x"),
        ("````\n```\ninner\n```\n````", "```\ninner\n```"),
        ("1. first\n   ```python\n   if x:\n       y\n\n   z\n   ```", "if x:\n    y\n\nz"),
        ("```python\r\nx = 1\r\n```\r\n", "x = 1"),
        ("```python\nwhole\n```\n```python\ncut off", "whole"),
        ("```python\n```", ""),
        ("```python\nprint('```')\n```", "print('```')"),
        ("```python title=`x`\nnot a fence", None),
        ("no code", None),
        ("```python\ncut off", None),
        ("inline ```x``` only", None),
        ("", None),
    ],
)
def test_the_last_whole_block_is_the_answer(text: str, expected: str | None) -> None:
    assert expected == last_code_block(text)
