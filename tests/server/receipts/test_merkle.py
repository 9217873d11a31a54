"""The root over a final state: every change in it is another root."""

from __future__ import annotations

import hashlib

import attrs
from hypothesis import given
from hypothesis import strategies as st

from sandbox.final_state import FinalState, Rejected
from server.receipts.chain import call_event, head
from server.receipts.merkle import manifest, root
from tests.server.states.test_packing import captured, kept

FILES = st.dictionaries(st.text(min_size=1, max_size=3), st.binary(max_size=4), max_size=9)


def state_of(files: dict[str, bytes]) -> FinalState:
    return FinalState(files={path: captured(data) for path, data in files.items()})


@given(FILES, FILES)
def test_two_states_have_one_root_only_if_their_files_are_the_same(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    roots = [root(manifest(state_of(files))) for files in (one, other)]
    assert (one == other) == (roots[0] == roots[1])


def test_what_was_not_captured_counts() -> None:
    state = FinalState(rejected=(Rejected("a", "a symlink"), Rejected("b", "a device")))
    turned = attrs.evolve(state, rejected=state.rejected[::-1])
    assert root(manifest(state)) == root(manifest(turned)) != root(manifest(FinalState()))
    other = FinalState(rejected=(Rejected("a", "a device"), Rejected("b", "a symlink")))
    assert root(manifest(state)) != root(manifest(other))


def test_what_was_claimed_counts() -> None:
    states = [FinalState(), FinalState(claims={"a": "1"}), FinalState(claims={"a": "2"})]
    assert 3 == len({root(manifest(state)) for state in states})


def test_the_root_of_two_leaves_is_no_leaf_itself() -> None:
    nodes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in (b'["file","a",0]', b'["file","b",0]')]
    assert hashlib.sha256(b"\x01" + b"".join(nodes)).hexdigest() == root([["file", "a", 0], ["file", "b", 0]])


def test_a_chain_is_another_if_a_link_is_gone_or_moved() -> None:
    events = [1, 2, {"a": 3}]
    heads = {head(chosen) for chosen in (events, events[::-1], events[:2], events[1:], [], [*events, 4])}
    assert len(heads) == 6


def test_a_call_counts_with_all_that_it_brought_back() -> None:
    (call,) = kept().final_state.calls
    changed = attrs.evolve(call, observation=attrs.evolve(call.observation, stdout="more"))
    assert head([call_event(call)]) == head([call_event(attrs.evolve(call))]) != head([call_event(changed)])
