from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from server.errors import NotJson
from server.http.requests import CloseRequest, Row, SeedRequest, VerifyRequest


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_row_that_is_too_deep_for_a_digest_is_refused_in_words() -> None:
    with pytest.raises(NotJson, match="nested too deeply"):
        Row.of({"deep": nested(sys.getrecursionlimit())})


@pytest.mark.parametrize(
    "parse", [CloseRequest.parse, VerifyRequest.parse, lambda body: SeedRequest.parse(body, dict)]
)
def test_at_no_depth_is_a_body_anything_but_read_or_refused(parse: Any) -> None:
    refused = set()
    for depth in range(sys.getrecursionlimit()):
        body = json.dumps({"response": {}, "deep": None}).replace("null", "[" * depth + "]" * depth or "0")
        try:
            parse(body.encode())
        except NotJson:
            refused.add(depth)
    assert refused == set(range(min(refused), sys.getrecursionlimit()))
