"""What is still to be done of a variant or peer, in words."""

from __future__ import annotations

from edgetvm.base.words import plural
from edgetvm.measure.experiment.ledger import Ledger, Part, rounds_in
from edgetvm.measure.experiment.reading import Slot

_DOING: dict[Part, str] = {
    "built": "build",
    "estimated": "estimate",
    "measured": "run the data",
    "scored": "run the data",
}


def missing(ledger: Ledger, slot: Slot, rounds: int) -> tuple[str, ...]:
    """Empty where all is stored.

    Args:
        slot: of what can be tried.
        rounds: that each is to have where its times count.
    """
    entries = ledger.entries(slot.key)
    done = {one.part for one in entries}
    words = [_DOING[part] for part in _parts(slot) if part not in done]
    more = rounds - rounds_in(entries) if slot.is_real else 0
    return (*words, plural(more, "round")) if more > 0 else tuple(words)


def _parts(slot: Slot) -> list[Part]:
    if slot.peer:
        return ["scored"]
    parts: list[Part] = ["built"]
    parts += ["estimated"] if slot.estimated else []
    parts += ["measured"] if slot.board else []
    return parts
