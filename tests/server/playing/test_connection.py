"""The way to a server."""

from __future__ import annotations

from server.playing.connection import path_of


def test_a_tools_name_becomes_the_path_that_a_client_would_ask() -> None:
    assert ["/verify"] * 3 == [path_of(name) for name in ("verify", "../verify", "verify?x=1#f")]
