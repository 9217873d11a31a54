"""Keeping captured states: by reference only, within bytes and age, whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from server.states.packing import DamagedError, pack
from server.states.reference import (
    METADATA_KEY,
    ForgedError,
    ReferenceSigner,
    reference_in,
    without_reference,
)
from server.states.shelves import UNFINISHED_SECONDS, FolderShelf, MemoryShelf, Shelf, ShelfError
from server.states.store import States
from tests.server.states.test_packing import kept

SIGNER = ReferenceSigner("a secret of at least sixteen characters")
KIB = 1024


@pytest.fixture(name="shelf", params=["memory", "folder"])
def _shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return MemoryShelf() if request.param == "memory" else FolderShelf(tmp_path / "states")


def states(shelf: Shelf, keep_bytes: int = 10_000_000, keep_seconds: float = 1000.0) -> States:
    return States(shelf, SIGNER, keep_bytes, keep_seconds)


@pytest.mark.parametrize("size", [10, 700_000])
async def test_a_state_comes_back_by_its_reference(shelf: Shelf, size: int) -> None:
    store, state = states(shelf), kept(a=b"x" * size)
    reference = await store.keep(state)
    assert reference is not None
    assert reference == await store.keep(state)
    assert state == await store.get(reference)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "\n",
        lambda text: text.replace("1.", "../", 1),
        lambda text: "1." + "0" * 64 + text[66:],
        lambda text: text[:67] + "0" * 32,
        lambda text: text.upper(),
    ],
)
async def test_a_forged_reference_is_refused(change: Callable[[str], str]) -> None:
    store = states(MemoryShelf())
    reference = await store.keep(kept()) or ""
    with pytest.raises(ForgedError):
        await store.get(change(reference))
    with pytest.raises(ForgedError):
        ReferenceSigner("another secret of sixteen or more").digest(reference)


async def test_the_oldest_go_when_there_are_too_many_bytes(shelf: Shelf) -> None:
    size = len(pack(kept("0", a=bytes(KIB))))
    store = states(shelf, keep_bytes=3 * size)
    references = [await store.keep(kept(str(number), a=bytes(KIB))) for number in range(4)]
    there = [await store.get(reference or "") is not None for reference in references]
    assert [False, True, True, True] == there


async def test_what_is_larger_than_the_bound_is_not_kept(shelf: Shelf) -> None:
    store = states(shelf, keep_bytes=KIB)
    small = await store.keep(kept("small"))
    assert await store.keep(kept(a=bytes(KIB))) is None
    assert await store.get(small or "") is not None  # and nothing had to go for it
    assert await states(shelf, keep_bytes=0).keep(kept()) is None


async def test_what_is_too_old_goes(shelf: Shelf) -> None:
    store = states(shelf, keep_seconds=1000.0)
    reference = await store.keep(kept()) or ""
    digest = SIGNER.digest(reference)
    store._entries[digest] = attrs.evolve(store._entries[digest], since=0.0)
    assert await store.get(reference) is None
    assert shelf.get(digest) is None


async def test_a_folder_outlives_its_server(tmp_path: Path) -> None:
    reference = await states(FolderShelf(tmp_path / "deep" / "states")).keep(kept())
    assert kept() == await states(FolderShelf(tmp_path / "deep" / "states")).get(reference or "")
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "states").iterdir()}
    assert (tmp_path / "deep" / "states").stat().st_mode & 0o777 == 0o700


async def test_servers_with_one_folder_and_one_secret_find_each_others_states(tmp_path: Path) -> None:
    one, other = (states(FolderShelf(tmp_path / "states")) for _ in range(2))
    reference = await one.keep(kept()) or ""
    assert kept() == await other.get(reference)
    (path,) = (tmp_path / "states").iterdir()
    os.utime(path, (1, 1))
    assert await other.get(reference) is None  # it is too old, whoever lets go of it
    path.unlink()
    assert await other.get(reference) is None


async def test_what_an_earlier_server_left_counts(tmp_path: Path) -> None:
    reference = await states(FolderShelf(tmp_path / "states")).keep(kept()) or ""
    (path,) = (tmp_path / "states").iterdir()
    os.utime(path, (1, 1))
    assert await states(FolderShelf(tmp_path / "states")).get(reference) is None
    assert [] == list((tmp_path / "states").iterdir())


async def test_what_was_changed_on_the_disk_is_found(tmp_path: Path) -> None:
    store = states(FolderShelf(tmp_path / "states"))
    reference = await store.keep(kept(a=b"right")) or ""
    (path,) = (tmp_path / "states").iterdir()
    whole = path.read_bytes()
    for damaged in (whole.replace(b"right", b"wrong"), whole[:-1], b""):
        path.write_bytes(damaged)
        with pytest.raises(DamagedError):
            await store.get(reference)
    path.unlink()
    assert await store.get(reference) is None


async def test_a_disk_that_is_full_costs_the_state_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = states(FolderShelf(tmp_path / "states"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert await store.keep(kept()) is None
    assert [] == list((tmp_path / "states").iterdir())
    assert await store.keep(kept()) is not None


def test_what_a_killed_server_left_unfinished_goes(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    folder.mkdir(0o700)
    (folder / "abc.unfinished").write_bytes(b"half")
    (folder / "def.unfinished").write_bytes(b"half")
    long_ago = time.time() - UNFINISHED_SECONDS - 1
    os.utime(folder / "abc.unfinished", (long_ago, long_ago))
    (folder / "notes.txt").write_text("somebody else's")
    assert [] == FolderShelf(folder).entries()
    # Another server may be writing the newer one just now.
    assert ["def.unfinished", "notes.txt"] == sorted(path.name for path in folder.iterdir())


def test_a_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(0o755)
    (tmp_path / "file").write_text("")
    for name, words in (("open", "mode 700"), ("file", "cannot be made")):
        with pytest.raises(ShelfError, match=words):
            FolderShelf(tmp_path / name)


def test_a_reference_leaves_no_trace_in_what_is_digested() -> None:
    assert {"id": 1} == without_reference({"id": 1, "metadata": {METADATA_KEY: "r"}})
    assert (
        {"id": 1}
        == without_reference({"id": 1, "metadata": {}})
        == without_reference({"id": 1, "metadata": None})
    )
    assert {"metadata": {"a": "b"}} == without_reference({"metadata": {"a": "b", METADATA_KEY: "r"}})
    nonsense: list[Any] = [None, [], "", {METADATA_KEY: 1}]
    assert [None] * 4 == [reference_in({"metadata": metadata}) for metadata in nonsense]
