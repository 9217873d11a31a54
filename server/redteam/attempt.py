"""Attacks, and the rollouts that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from server.playing.script import Call, Script, fenced

if TYPE_CHECKING:
    from server.redteam.target import Target

MARK = "creche-redteam-mark-5f1d"
"""What an attempt prints when the session has given away what it must not."""


@attrs.frozen(kw_only=True)
class Attempt(Script):
    """One rollout.

    Attributes:
        label: tells it from the attack's others.
        after: made after the verdict. One that is answered is a hole.
        forbidden: what no reply to a call may hold.
        keeps_reward: whether the rollout does the task honestly besides, so that it must be rewarded.
    """

    label: str
    after: tuple[Call, ...] = ()
    forbidden: str = MARK
    keeps_reward: bool = False


Maker = Callable[["Target"], Iterable[Attempt]]


@attrs.frozen(kw_only=True)
class Attack:
    """A way to be rewarded for nothing.

    Attributes:
        number: its place in the catalogue.
        name: a few words.
        tries: what it does, in a sentence.
        stopped_by: what stops it in Creche's own verifiers.
        remedy: what to do where it works.
        make: makes the attempts against a target; none where it does not apply.
        limit: where no verifier can stop it in principle: why, and what remains to be done.
    """

    number: int
    name: str
    tries: str
    stopped_by: str
    remedy: str
    make: Maker = attrs.field(repr=False)
    limit: str = ""


def codes(variants: Mapping[str, str]) -> list[Attempt]:
    """Return an attempt for each solution."""
    return [Attempt(label=label, text=fenced(code)) for label, code in variants.items()]
