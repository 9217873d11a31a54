from __future__ import annotations

import json
from typing import Any

import pytest

from server.errors import NotJson
from server.http.requests import CloseRequest, Row, SeedRequest, VerifyRequest

DEPTHS = sorted({*range(1100), *(int(1.1**power) for power in range(60, 120))})
"""Past every interpreter's limit: Python 3.11 has one thousand, later ones some more in C."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_row_that_is_too_deep_for_a_digest_is_refused_in_words() -> None:
    with pytest.raises(NotJson, match="nested too deeply"):
        Row.of({"deep": nested(DEPTHS[-1])})


@pytest.mark.parametrize(
    "parse", [CloseRequest.parse, VerifyRequest.parse, lambda body: SeedRequest.parse(body, dict)]
)
def test_at_no_depth_is_a_body_anything_but_read_or_refused(parse: Any) -> None:
    refused = set()
    for depth in DEPTHS:
        body = json.dumps({"response": {}, "deep": None}).replace("null", "[" * depth + "]" * depth or "0")
        try:
            parse(body.encode())
        except NotJson:
            refused.add(depth)
    assert refused == {depth for depth in DEPTHS if depth >= min(refused)}
