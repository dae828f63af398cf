"""What an experiment would do, what of it is done already, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.estimate.tools import emulator
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.missing import missing
from edgetvm.measure.experiment.reading import Slot
from edgetvm.measure.experiment.remarks import foreseen
from edgetvm.measure.experiment.variants import varying
from edgetvm.measure.store import Store
from edgetvm.workflow.experimenting.candidates import Candidate, Resolved, resolve


@dataclass(frozen=True)
class Planned:
    """A variant or peer, and what there is to do.

    Attributes:
        where: that it runs, in words.
        missing: what is still to be done; empty where all is.
        why: it cannot be tried; empty where it can.
        notes: what of it will not be as it was asked for.
    """

    name: str
    where: str
    missing: tuple[str, ...]
    why: str = ""
    notes: tuple[str, ...] = ()


def plan_experiment(
    experiment: Experiment, store: Store | None = None, database: Path | None = None
) -> list[Planned]:
    """Every variant and peer; nothing is built or measured.

    Where a layout is asked for, its models are imported: whether they are quantised decides.

    Args:
        store: where results are kept; the user's own without it.
        database: of tuned schedules; likewise.

    Raises:
        ConfigurationError: no recipe has the metric that is to be the accuracy.
        StorageError: the store cannot be read.
    """
    planner = _Planner(Ledger(store or Store()), resolve(experiment, database))
    return [planner.planned(slot) for slot in planner.resolved.asked.slots]


class _Planner:
    def __init__(self, ledger: Ledger, resolved: Resolved) -> None:
        self.resolved = resolved
        self._ledger, self._experiment = ledger, resolved.asked.experiment
        self._axes = varying(self._experiment.variants)
        self._candidates: Mapping[Slot, Candidate] = {one.slot: one for one in resolved.candidates}
        self._quantised: dict[str, bool] = {}

    def planned(self, slot: Slot) -> Planned:
        name = _name(slot, self._axes)
        if slot.why:
            return Planned(name, "nowhere", (), slot.why)
        candidate = self._candidates.get(slot)
        try:
            notes = () if candidate is None else tuple(self._notes(candidate))
        except EdgetvmError as error:
            return Planned(name, "nowhere", (), str(error))
        todo = missing(self._ledger, slot, self._experiment.measure.rounds)
        return Planned(name, _where(slot, candidate), todo, notes=notes)

    def _notes(self, candidate: Candidate) -> list[str]:
        options, found = candidate.variant.options, []
        if options.layout != "auto" and (said := foreseen(options, self._is_quantised(candidate))):
            found.append(said)
        if candidate.where.is_played:
            found += _lacking(candidate.where.profile.architecture)
        return found

    def _is_quantised(self, candidate: Candidate) -> bool:
        name = candidate.variant.model
        if name not in self._quantised:
            is_made_so = candidate.model.quantize is not None
            self._quantised[name] = is_made_so or bool(candidate.subject.load().quantised)
        return self._quantised[name]


def _lacking(architecture: str) -> list[str]:
    try:
        emulator(architecture)
    except EdgetvmError as error:
        return [str(error)]
    return []


def _name(slot: Slot, axes: Sequence[str]) -> str:
    if slot.peer:
        return f"{slot.peer}, {slot.variant.told(('model', 'threads'))}"
    return slot.variant.told(axes)


def _where(slot: Slot, candidate: Candidate | None) -> str:
    if not slot.board:
        why = candidate.where.not_here if candidate is not None else ""
        return f"no board: {why}" if why else "no board"
    return f"{slot.board} (emulated: times do not count)" if slot.emulated else slot.board
