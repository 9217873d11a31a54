"""Captured states as bytes and back."""

from __future__ import annotations

import hashlib

import pytest

from sandbox.final_state import CapturedFile, FinalState, Rejected, Usage
from sandbox.observation import CallRecord, Ending, Observation, Outcome
from server.states.packing import DamagedError, KeptState, pack, unpack


def captured(data: bytes) -> CapturedFile:
    return CapturedFile(data, hashlib.sha256(data).hexdigest())


def kept(session: str = "s", **files: bytes) -> KeptState:
    observation = Observation(
        outcome=Outcome.ERROR, value={"z": None, "a": [1.5, True]}, error="E", truncated=("stdout",)
    )
    state = FinalState(
        files={path: captured(data) for path, data in sorted(files.items())},
        rejected=(Rejected("link", "a symlink"),),
        ended_by=Ending.SESSION_DEADLINE,
        calls=(CallRecord("bash", {"command": "x\ud800", "b": None}, observation),),
        usage=Usage(cpu_seconds=0.25, peak_memory_bytes=None),
        claims={"answer": '["l",1]'},
    )
    return KeptState(
        session=session, row={"a": "00"}, tier="full", limits={"processes": 9}, final_state=state
    )


def test_what_is_packed_is_unpacked() -> None:
    state = kept(a=b"one\ntwo", b=b"", c=bytes(range(256)))
    again = unpack(pack(state))
    assert state == again
    assert list(state.final_state.files) == list(again.final_state.files)
    assert ["z", "a"] == list(again.final_state.calls[0].observation.value)


def test_nothing_at_all_can_be_packed() -> None:
    state = KeptState(session="s", row={}, tier="none", limits={}, final_state=FinalState())
    assert state == unpack(pack(state))


def test_the_same_state_gives_the_same_pack() -> None:
    assert pack(kept(a=b"1", b=b"2")) == pack(kept(b=b"2", a=b"1"))
    assert pack(kept(a=b"1")) != pack(kept(a=b"2"))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff\n", b'{"format":"creche-state/0"}\n', b'{"format":"creche-state/1"}\n', b"[]\n"],
)
def test_what_is_no_pack_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        unpack(data)
