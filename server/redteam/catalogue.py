"""All attacks, by their numbers."""

from __future__ import annotations

from server.redteam import (
    attacks_channel,
    attacks_escape,
    attacks_message,
    attacks_output,
    attacks_planted,
    attacks_spying,
)
from server.redteam.attempt import Attack

_MODULES = (
    attacks_escape,
    attacks_planted,
    attacks_spying,
    attacks_output,
    attacks_channel,
    attacks_message,
)

ATTACKS: dict[int, Attack] = {
    attack.number: attack
    for attack in sorted(
        (attack for module in _MODULES for attack in module.ATTACKS), key=lambda each: each.number
    )
}
"""Number to attack, in order."""
