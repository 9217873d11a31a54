"""Files out of sandboxes in which something else answers than what should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from sandbox.observation import Observation, Outcome
from server.errors import InvalidBody
from server.sandboxes.errands import get_file

if TYPE_CHECKING:
    from sandbox.box import Box


@attrs.frozen
class Taken:
    """A box whose lane is the guest's: it answers whatever that likes."""

    value: Any

    async def call(self, *_: Any, **__: Any) -> Observation:
        return Observation(outcome=Outcome.OK, value=self.value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": "1", "data": ""},
        {"size": 1, "data": "?"},
        {"size": 1, "data": 7},
        {"size": 1, "data": "é"},
    ],
)
async def test_a_piece_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidBody, match="did not say"):
        await get_file(cast("Box", Taken(value)), "a", 10)


async def test_a_piece_is_read_as_it_is() -> None:
    assert b"a" == await get_file(cast("Box", Taken({"size": 1, "data": "YQ=="})), "a", 10)
