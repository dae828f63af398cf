"""What an experiment would do, and what of it is done already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import Slot
from edgetvm.measure.experiment.variants import varying
from edgetvm.measure.store import Store
from edgetvm.workflow.experimenting.candidates import Candidate, Rival, resolve
from edgetvm.workflow.experimenting.missing import missing


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
    tried: dict[Slot, Candidate | Rival] = {one.slot: one for one in resolved.candidates}
    tried |= {one.slot: one for one in resolved.rivals}
    axes, rounds = varying(experiment.variants), experiment.measure.rounds
    return [
        Planned(_name(slot, axes), "nowhere", (), slot.why)
        if slot.why
        else Planned(_name(slot, axes), _where(slot), missing(ledger, tried[slot], rounds))
        for slot in resolved.asked.slots
    ]


def _name(slot: Slot, axes: Sequence[str]) -> str:
    if slot.peer:
        return f"{slot.peer}, {slot.variant.told(('model', 'threads'))}"
    return slot.variant.told(axes)


def _where(slot: Slot) -> str:
    if not slot.board:
        return "no board"
    return f"{slot.board} (emulated: times do not count)" if slot.emulated else slot.board
