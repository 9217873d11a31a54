from __future__ import annotations

from hashlib import sha256

import pytest

from sandbox.final_state import CapturedFile, FinalState
from sandbox.observation import Ending


def state(**files: bytes) -> FinalState:
    return FinalState(
        files={name: CapturedFile(data, sha256(data).hexdigest()) for name, data in files.items()}
    )


def test_text_of_a_file_that_is_not_there_is_a_key_error_or_the_default() -> None:
    with pytest.raises(KeyError, match="absent"):
        state().text("absent")
    assert "" == state().text("absent", "")


def test_text_that_is_no_utf8_is_replaced() -> None:
    assert "a\ufffd" == state(a=b"a\xff").text("a")


def test_the_digest_depends_on_paths_and_contents_and_not_on_their_order() -> None:
    assert state(a=b"1", b=b"2").digest == state(b=b"2", a=b"1").digest
    others = [
        state(),
        state(a=b"1"),
        state(a=b"2"),
        state(b=b"1"),
        state(a=b"1", b=b"1"),
        state(a=b"", b=b""),
    ]
    assert len(others) == len({other.digest for other in others})
    assert sha256(b"").hexdigest() == state().digest
    assert sha256(b"a\0" + sha256(b"1").hexdigest().encode() + b"\n").hexdigest() == state(a=b"1").digest


def test_only_a_lost_cage_is_ours() -> None:
    assert [Ending.CAGE_LOST] == [ending for ending in Ending if ending.is_ours]
