"""What an experiment would do, and what of it is done already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.words import plural
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.ledger import Entry, Ledger, Part, rounds_in
from edgetvm.measure.experiment.reading import Slot
from edgetvm.measure.store import Store
from edgetvm.workflow.experimenting.candidates import Candidate, resolve

# What there is to do for each part, in words.
_DOING: dict[Part, str] = {
    "built": "build",
    "estimated": "estimate",
    "measured": "run the data",
    "scored": "run the data",
}


@dataclass(frozen=True)
class Planned:
    """A variant or peer, and what there is to do.

    Attributes:
        where: that it runs, in words.
        missing: what is still to be done; empty where all is.
        why: it cannot be tried; empty where it can.
    """

    name: str
    where: str
    missing: tuple[str, ...]
    why: str = ""


def plan_experiment(
    experiment: Experiment, store: Store | None = None, database: Path | None = None
) -> list[Planned]:
    """Every variant and peer; nothing is built or measured.

    Args:
        store: where results are kept; the user's own without it.
        database: of tuned schedules; likewise.

    Raises:
        ConfigurationError: no recipe has the metric that is to be the accuracy.
        StorageError: the store cannot be read.
    """
    ledger = Ledger(store or Store())
    resolved = resolve(experiment, database)
    tried = {one.variant: one for one in resolved.candidates}
    planned = []
    for slot in resolved.asked.slots:
        if slot.why:
            planned.append(Planned(_name(slot), "nowhere", (), slot.why))
            continue
        entries = ledger.entries(slot.key)
        one = None if slot.peer else tried[slot.variant]
        parts = ("scored",) if one is None else _parts(one)
        has_turns = one is None or one.where.is_real
        wanted = experiment.measure.rounds if has_turns else 0
        planned.append(Planned(_name(slot), _where(slot), tuple(_left(entries, parts, wanted))))
    return planned


def _name(slot: Slot) -> str:
    if slot.peer:
        return f"{slot.peer}: {slot.variant.told(('model', 'threads'))}"
    return slot.variant.name


def _parts(one: Candidate) -> tuple[Part, ...]:
    found: list[Part] = ["built"]
    if one.where.is_estimated:
        found.append("estimated")
    if one.where.board_name:
        found.append("measured")
    return tuple(found)


def _left(entries: list[Entry], parts: Iterable[Part], rounds: int) -> Iterator[str]:
    done = {one.part for one in entries}
    yield from (_DOING[part] for part in parts if part not in done)
    if rounds > rounds_in(entries):
        yield plural(rounds - rounds_in(entries), "round")


def _where(slot: Slot) -> str:
    if not slot.board:
        return "no board"
    return f"{slot.board} (emulated: times do not count)" if slot.emulated else slot.board
