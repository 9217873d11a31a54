"""Figures that a cell leaves open come back as pictures."""

from __future__ import annotations

import base64
import importlib.util
from typing import TYPE_CHECKING

import pytest

from tests.tools.lanes import Lane, open_lane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


@pytest.fixture(name="lane")
def _lane(tmp_path: Path) -> Iterator[Lane]:
    with open_lane("tools.python:python", tmp_path) as lane:
        yield lane


@needs_matplotlib
def test_open_figures_come_back_as_pictures_and_are_closed(lane: Lane) -> None:
    code = (
        "import matplotlib.pyplot as plt\nfor n in 1, 2:\n    plt.figure()\n    plt.plot([1, n])\nplt.show()"
    )
    got = lane.call(code=code)

    assert "" == got.stderr
    images = got.value["images"]
    assert 2 == len(images)
    assert all(base64.b64decode(each).startswith(b"\x89PNG") for each in images)
    assert images[0] != images[1]
    assert "[]" == lane.call(code="plt.get_fignums()").value["result"]
    assert images == lane.call(code=code).value["images"]


@needs_matplotlib
def test_figures_of_a_failed_cell_come_back_too(lane: Lane) -> None:
    got = lane.call(code="import matplotlib.pyplot as plt\nplt.plot([1])\n1/0")

    assert ["images", "result"] == sorted(got.value)
    assert got.error is not None


@needs_matplotlib
def test_a_figure_that_cannot_be_drawn_is_the_cells_error(lane: Lane) -> None:
    got = lane.call(code="import matplotlib.pyplot as plt\nplt.title('$\\\\nonesuch$')\n5")

    assert {"result": None} == got.value
    assert "ParseFatalException" in got.stderr or "ValueError" in got.stderr
    assert "[]" == lane.call(code="plt.get_fignums()").value["result"]


@needs_matplotlib
def test_too_many_figures_are_left_out_and_said_to_be(lane: Lane) -> None:
    got = lane.call(code="import matplotlib.pyplot as plt\nfor _ in range(18): plt.figure(figsize=(1, 1))")

    assert 16 == len(got.value["images"])
    assert "[figures left out, being too many or too large: 2]\n" == got.stderr
