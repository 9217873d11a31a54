"""What ships can be loaded by name, and says what it gives."""

from __future__ import annotations

import pytest

from server.environments import SHIPPED, load_shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_environment_can_be_served(name: str) -> None:
    klass = load_shipped(name)
    assert name == klass.name
    environment = klass()
    for tool in environment.toolbox.definitions():
        assert tool["description"]


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load_shipped("no such thing")
