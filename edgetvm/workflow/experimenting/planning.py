"""What an experiment would do, and what of it is done already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.words import plural
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.ledger import Ledger, rounds_in
from edgetvm.measure.experiment.reading import Slot
from edgetvm.measure.store import Store
from edgetvm.workflow.experimenting.candidates import resolve


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
        StorageError: the store cannot be read.
    """
    ledger = Ledger(store or Store())
    slots = resolve(experiment, database).asked.slots
    return [_planned(ledger, slot, experiment.measure.rounds) for slot in slots]


def _planned(ledger: Ledger, slot: Slot, rounds: int) -> Planned:
    name = f"{slot.peer}: {slot.variant.told(('model', 'threads'))}" if slot.peer else ""
    name = name or slot.variant.name
    if slot.why:
        return Planned(name, "nowhere", (), slot.why)
    entries = ledger.entries(slot.key)
    done = {one.part for one in entries}
    more = max(0, rounds - rounds_in(entries))
    missing = [] if slot.peer else ["build"]
    if not slot.board:
        missing.append("estimate")
    elif slot.emulated:
        missing.append("answers")
    else:
        missing += ["answers", *([plural(more, "round")] if more else [])]
    names = {"build": "built", "estimate": "estimated", "answers": "measured"}
    if slot.peer:
        names["answers"] = "scored"
    left = tuple(one for one in missing if names.get(one) not in done)
    return Planned(name, _where(slot), left)


def _where(slot: Slot) -> str:
    if not slot.board:
        return "no board: estimated"
    return f"{slot.board} (emulated: times do not count)" if slot.emulated else slot.board
