"""What the tests against NeMo Gym share."""

from __future__ import annotations

import pytest

from tests.whole.gym.home import Home, home


@pytest.fixture(name="gym", scope="session")
def _gym() -> Home:
    return home()
