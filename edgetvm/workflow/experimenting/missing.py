"""What is still to be done of a variant or peer, in words."""

from __future__ import annotations

from collections.abc import Iterable

from edgetvm.base.words import plural
from edgetvm.measure.experiment.ledger import Ledger, Part, rounds_in
from edgetvm.measure.experiment.reading import Slot
from edgetvm.workflow.experimenting.candidates import Candidate, Rival

_DOING: dict[Part, str] = {
    "built": "build",
    "estimated": "estimate",
    "measured": "run the data",
    "scored": "run the data",
}


def missing(ledger: Ledger, one: Candidate | Rival, rounds: int) -> tuple[str, ...]:
    """Empty where all is stored.

    Args:
        rounds: that each is to have where its times count.
    """
    if isinstance(one, Rival):
        return _left(ledger, one.slot, ("scored",), rounds)
    parts: list[Part] = ["built"]
    if one.where.is_estimated:
        parts.append("estimated")
    if one.where.board_name:
        parts.append("measured")
    return _left(ledger, one.slot, parts, rounds if one.where.is_real else 0)


def _left(ledger: Ledger, slot: Slot, parts: Iterable[Part], rounds: int) -> tuple[str, ...]:
    entries = ledger.entries(slot.key)
    done = {one.part for one in entries}
    words = [_DOING[part] for part in parts if part not in done]
    more = rounds - rounds_in(entries)
    return (*words, plural(more, "round")) if more > 0 else tuple(words)
