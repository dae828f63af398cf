"""Peers of an experiment: other runtimes, with turns in the same rounds as the variants."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

from edgetvm.base.errors import BoardError, EdgetvmError, UsageError
from edgetvm.base.steps import step
from edgetvm.measure.evaluation import score_reference
from edgetvm.measure.experiment.reading import Slot, document_of, row_of
from edgetvm.measure.experiment.rows import Scored
from edgetvm.measure.peers import crew, settings
from edgetvm.measure.peers.answers import TOLERANCE, answer_error
from edgetvm.measure.peers.case import Task, Unavailable
from edgetvm.measure.peers.preparing import prepared
from edgetvm.models.reference import reference_for
from edgetvm.recipes import samples
from edgetvm.workflow.experimenting.building import Ready, Work
from edgetvm.workflow.experimenting.candidates import Rival
from edgetvm.workflow.experimenting.turns import Side, lacking_turns

_LOAD_TIMEOUT_S = 300.0
_TURN_S, _WARM_S = 0.2, 0.05


@contextmanager
def rivals_at_work(
    work: Work, rivals: Sequence[Rival], ready: Sequence[Ready]
) -> Iterator[list[Side]]:
    """Peers that lack turns, each in processes of its own that sleep between them."""
    of_model = {one.slot.variant.model: one for one in ready}
    waiting = [
        one
        for one in rivals
        if one.slot.variant.model in of_model and lacking_turns(work, one.slot)
    ]
    tasks: dict[Task, Rival] = {}
    for rival in waiting:
        try:
            tasks |= dict.fromkeys(_tasks(work, rival, of_model), rival)
        except EdgetvmError as error:
            work.failed(rival.slot, error)

    def lost(task: Task, why: str) -> None:
        work.lost(tasks[task].slot, task.title, why)

    workers = crew.start(list(tasks), os.cpu_count() or 1, _LOAD_TIMEOUT_S, lost) if tasks else []
    try:
        yield list(_sides(work, waiting, tasks, workers))
    finally:
        crew.end(workers)


def _tasks(work: Work, rival: Rival, of_model: Mapping[str, Ready]) -> list[Task]:
    """One for each of its settings, once its answers to the data are noted."""
    ready, threads = of_model[rival.slot.variant.model], rival.slot.variant.threads
    if not work.has(rival.slot, "scored"):
        scored = document_of(_scored(rival, ready))
        work.ledger.note(rival.slot.key, "scored", work.session, scored)
    signature = ready.package.manifest.signature
    inputs = {**signature.initial_states(), **ready.package.sample_inputs}
    try:
        case = prepared(ready.built.source, inputs)
    except Unavailable as error:
        raise UsageError(str(error), where=rival.peer.name) from None
    chosen = settings(rival.peer, case, threads)
    if not chosen:
        raise UsageError(f"it reads no such .{case.format} file", where=rival.peer.name)
    return [Task(rival.peer.name, one, case, threads) for one in chosen]


def _scored(rival: Rival, ready: Ready) -> Scored:
    """A peer's file; with the recipe's metrics, where it is the model's own runtime."""
    recipe, reference = ready.subject.recipe, reference_for(ready.built.source)
    scored = Scored(rival.slot.peer, ready.subject.path.stat().st_size, {})
    is_own = reference.name.partition(" ")[0] == rival.peer.package
    if not is_own or recipe is None or recipe.data is None:
        return scored
    with step(f"run the data in {reference.name}"):
        signature = ready.package.manifest.signature
        metrics, confused = score_reference(signature, reference, recipe, samples(recipe))
    return replace(scored, metrics=metrics, confusion=confused)


def _sides(
    work: Work,
    waiting: Sequence[Rival],
    tasks: Mapping[Task, Rival],
    workers: Sequence[crew.Worker],
) -> Iterator[Side]:
    for rival in waiting:
        mine = [one for one in workers if tasks[one.task] is rival]
        right = [one for one in mine if _is_right(one)]
        for one in mine:
            if one not in right:
                work.lost(rival.slot, one.task.title, "its answers are not the model's")
        if right:
            crowd = Crowd(work, rival.slot, right)
            yield Side(rival.slot, crowd.turn, lacking_turns(work, rival.slot))
        elif rival in tasks.values():
            work.failed(rival.slot, _none_left(work, rival.slot))


def _is_right(worker: crew.Worker) -> bool:
    case = worker.task.case
    return answer_error(worker.answers, case.expected()) <= TOLERANCE[case.kind]


class Crowd:
    """The settings of a peer, one worker each."""

    def __init__(self, work: Work, slot: Slot, workers: Sequence[crew.Worker]) -> None:
        self._work, self._slot, self._left = work, slot, list(workers)

    def turn(self) -> dict[str, Any]:
        """A turn of each setting; of the fastest, what is noted. One that dies has no more.

        Raises:
            BoardError: none is left.
        """
        found: list[tuple[float, dict[str, Any]]] = []
        for worker in tuple(self._left):
            try:
                samples_ns = worker.turn(_WARM_S, _TURN_S, 1)
            except crew.WorkerLost as error:
                self._left.remove(worker)
                self._work.lost(self._slot, worker.task.title, str(error))
                continue
            document = {"samples_ns": samples_ns, "setting": worker.task.setting}
            found.append((median(samples_ns), document))
        if not found:
            raise _none_left(self._work, self._slot)
        return min(found, key=lambda one: one[0])[1]


def _none_left(work: Work, slot: Slot) -> BoardError:
    told = "; ".join(f"{name}: {why}" for name, why in row_of(work.ledger, slot).lost.items())
    return BoardError(f"none of its settings is left ({told})", where=slot.peer)
