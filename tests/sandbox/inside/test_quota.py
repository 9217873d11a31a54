"""The bound on what a session writes where it has no file system of its own."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from sandbox.inside import quota as quota_module
from sandbox.inside.quota import Quota

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[int]:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield folder
    os.close(folder)


def test_processes_are_looked_for_when_it_is_time_to_look_and_not_before(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(quota_module, "time", SimpleNamespace(monotonic=lambda: now))
    quota = Quota(folder, 1 << 20, 16)
    looks: list[int] = []

    def members() -> list[int]:
        looks.append(os.getpid())
        return [os.getpid()]

    assert not any(quota.is_exceeded(members) for _ in range(100))
    assert 1 == len(looks)
    now += 2 * quota_module._SECONDS
    assert not any(quota.is_exceeded(members) for _ in range(100))
    assert 2 == len(looks)
    os.close(quota._folder)


def test_what_has_no_name_any_more_counts_once_more(folder: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(bytes(64 << 10))
        file.flush()
        path.unlink()
        quota = Quota(folder, 32 << 10, 16)
        assert quota.is_exceeded(lambda: [os.getpid()])
        os.close(quota._folder)
