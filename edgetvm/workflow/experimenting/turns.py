"""Variants and peers in turns on one board, so that what drifts hits all alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from edgetvm.base.errors import (
    BoardBusyError,
    BoardError,
    BoardGoneError,
    BoardTimeoutError,
    EdgetvmError,
    LeaseLostError,
    TrackerUnreachableError,
)
from edgetvm.base.steps import step, unheard
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import connect
from edgetvm.measure.evaluation import score_reference
from edgetvm.measure.experiment.goals import too_slow
from edgetvm.measure.experiment.ledger import rounds_in
from edgetvm.measure.experiment.reading import Slot, document_of, row_of
from edgetvm.measure.experiment.rows import Scored, ratio
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.measuring import Plan, measure
from edgetvm.measure.peers import crew, settings
from edgetvm.measure.peers.answers import TOLERANCE, answer_error
from edgetvm.measure.peers.case import Task, Unavailable
from edgetvm.measure.peers.preparing import prepared
from edgetvm.models.reference import reference_for
from edgetvm.recipes import samples
from edgetvm.workflow.build import Built
from edgetvm.workflow.comparing import Turn, measurer
from edgetvm.workflow.experimenting.building import Ready, Work, each
from edgetvm.workflow.experimenting.candidates import Rival

# After these the board is not there for the next variant.
_ENDING = (
    BoardGoneError,
    BoardTimeoutError,
    BoardBusyError,
    LeaseLostError,
    TrackerUnreachableError,
)
_LOAD_TIMEOUT_S = 300.0
_TURN_S, _WARM_S = 0.2, 0.05


@dataclass(frozen=True)
class Side:
    """What has turns.

    Attributes:
        slot: where they are noted.
        take: one of them; answers with what is noted of it.
        wanted: how many are missing.
    """

    slot: Slot
    take: Callable[[], dict[str, Any]]
    wanted: int


def measure_answers(work: Work, board: Board, ready: Sequence[Ready]) -> list[Ready]:
    """Run the recipe's data through each variant that was not measured so; those that could be.

    Args:
        board: that stands.
    """

    def run(one: Ready) -> Ready:
        if not work.has(one.slot, "measured"):
            measurement = _measured(work, board, one)
            work.ledger.store.save(measurement)
            noted = {"measurement": measurement.id}
            work.ledger.note(one.slot.key, "measured", work.session, noted)
        return one

    return each(f"run the data on {board.name}", work, ready, run)


def _measured(work: Work, board: Board, ready: Ready) -> Measurement:
    how = work.experiment.measure
    plan = Plan(
        runs=how.runs,
        max_s=how.max_s,
        threads=ready.slot.variant.threads,
        allow_mismatch=True,
        explained=False,
    )
    with connect(board) as session:
        return measure(
            session,
            ready.package,
            ready.where.profile,
            source=ready.built.source,
            recipe=ready.candidate.subject.recipe,
            plan=plan,
        )


def sides_of(work: Work, board: Board, ready: Sequence[Ready]) -> list[Side]:
    """The variants that lack turns, and the baseline beside them."""
    lacking = [_lacking(work, one.slot) for one in ready]
    most = max(lacking, default=0)
    wanted = [
        most if _is_baseline(work, one.slot) else count
        for one, count in zip(ready, lacking, strict=True)
    ]
    return [
        Side(one.slot, _turn_of(work, board, one), count)
        for one, count in zip(ready, wanted, strict=True)
        if count
    ]


def _turn_of(work: Work, board: Board, ready: Ready) -> Callable[[], dict[str, Any]]:
    how = work.experiment.measure
    turn = Turn(how.rounds, how.runs, how.max_s, ready.slot.variant.threads)
    measured = measurer(board, ready.package, turn, ready.where.profile)

    def take() -> dict[str, Any]:
        measurement = measured()
        work.ledger.store.save(measurement)
        return {"measurement": measurement.id}

    return take


def _is_baseline(work: Work, slot: Slot) -> bool:
    return not slot.peer and slot.variant == work.experiment.baseline


def _lacking(work: Work, slot: Slot) -> int:
    lacking = work.experiment.measure.rounds - rounds_in(work.ledger.entries(slot.key))
    return max(0, lacking)


def take_turns(work: Work, sides: Sequence[Side], first_turn: int = 0) -> None:
    """Give every side the turns that it lacks, forwards and backwards, each noted when taken.

    What fails, or is too slow for the goals, has no more of them.

    Args:
        first_turn: number of the first of this session.
    """
    left = {side.slot.key: side for side in sides}
    rounds = max((side.wanted for side in sides), default=0)
    total, done = sum(side.wanted for side in sides), 0
    with step(f"measure {len(sides)} in turns, {rounds} rounds") as this:
        for turn in range(rounds):
            for side in _in_order(list(left.values()), turn):
                if turn >= side.wanted or side.slot.key not in left:
                    continue
                done += 1
                this.advance(done, total, side.slot.peer or side.slot.variant.name)
                if not _took(work, side, first_turn + turn, left):
                    left.pop(side.slot.key, None)
            _drop_slow(work, left)
        this.detail = f"{done} turns"


def _in_order(sides: list[Side], turn: int) -> list[Side]:
    return sides[::-1] if turn % 2 else sides


def _took(work: Work, side: Side, turn: int, left: dict[str, Side]) -> bool:
    try:
        with unheard():
            document = side.take()
    except _ENDING as error:
        for one in left.values():
            work.failed(one.slot, error)
        left.clear()
        return False
    except EdgetvmError as error:
        work.failed(side.slot, error)
        return False
    work.ledger.note(side.slot.key, "round", work.session, document, turn)
    return True


def _drop_slow(work: Work, left: dict[str, Side]) -> None:
    goals = work.experiment.goals
    if goals is None:
        return
    rows = {key: row_of(work.ledger, side.slot) for key, side in left.items()}
    base = next((rows[k] for k, side in left.items() if _is_baseline(work, side.slot)), None)
    for key, row in rows.items():
        beside = None if base is None else ratio(row, base)
        if row is not base and not row.peer and too_slow(goals, beside, row):
            del left[key]


@contextmanager
def rivals_at_work(
    work: Work, rivals: Sequence[Rival], ready: Sequence[Ready]
) -> Iterator[list[Side]]:
    """Peers that lack turns, each in processes of its own that sleep between them."""
    of_model = {one.slot.variant.model: one.built for one in ready}
    waiting = [
        one
        for one in rivals
        if not one.slot.why and one.slot.variant.model in of_model and _lacking(work, one.slot)
    ]
    tasks: dict[Task, Rival] = {}
    for rival in waiting:
        one = of_model[rival.slot.variant.model]
        _score(work, rival, one)
        for task in _tasks(work, rival, one):
            tasks[task] = rival

    def lost(task: Task, why: str) -> None:
        work.failed(tasks[task].slot, BoardError(why, where=task.title))

    workers = crew.start(list(tasks), os.cpu_count() or 1, _LOAD_TIMEOUT_S, lost) if tasks else []
    try:
        yield list(_sides(work, waiting, tasks, workers))
    finally:
        crew.end(workers)


def _tasks(work: Work, rival: Rival, built: Built) -> list[Task]:
    package, threads = built.package, rival.slot.variant.threads
    inputs = {**package.manifest.signature.initial_states(), **package.sample_inputs}
    try:
        case = prepared(built.source, inputs)
    except Unavailable as error:
        work.failed(rival.slot, BoardError(str(error), where=rival.peer.name))
        return []
    found = [
        Task(rival.peer.name, one, case, threads) for one in settings(rival.peer, case, threads)
    ]
    if not found:
        error = BoardError(f"it reads no such .{case.format} file", where=rival.peer.name)
        work.failed(rival.slot, error)
    return found


def _score(work: Work, rival: Rival, built: Built) -> None:
    """Note the recipe's metrics of the model's own runtime, where the peer is that."""
    if work.has(rival.slot, "scored"):
        return
    recipe, reference = rival.subject.recipe, reference_for(built.source)
    metrics, confused = {}, None
    is_own = reference.name.partition(" ")[0] == rival.peer.package
    if is_own and recipe is not None and recipe.data is not None:
        with step(f"run the data in {reference.name}"):
            signature = built.package.manifest.signature
            metrics, confused = score_reference(signature, reference, recipe, samples(recipe))
    size_bytes = rival.subject.path.stat().st_size
    scored = Scored(rival.slot.peer, size_bytes, metrics, confused)
    work.ledger.note(rival.slot.key, "scored", work.session, document_of(scored))


def _sides(
    work: Work,
    waiting: Sequence[Rival],
    tasks: Mapping[Task, Rival],
    workers: Sequence[crew.Worker],
) -> Iterator[Side]:
    for rival in waiting:
        mine = [one for one in workers if tasks[one.task] is rival]
        right = [one for one in mine if _is_right(one)]
        if mine and not right:
            error = BoardError("its answers are not the model's", where=rival.peer.name)
            work.failed(rival.slot, error)
        if right:

            def take(workers: list[crew.Worker] = right) -> dict[str, Any]:
                return _fastest(workers)

            yield Side(rival.slot, take, _lacking(work, rival.slot))


def _is_right(worker: crew.Worker) -> bool:
    case = worker.task.case
    return answer_error(worker.answers, case.expected()) <= TOLERANCE[case.kind]


def _fastest(workers: Sequence[crew.Worker]) -> dict[str, Any]:
    """A turn of each setting of a peer; of the fastest, what is noted."""
    found: list[tuple[float, dict[str, Any]]] = []
    for worker in workers:
        try:
            samples_ns = worker.turn(_WARM_S, _TURN_S, 1)
        except crew.WorkerLost as error:
            raise BoardError(str(error), where=worker.task.title) from error
        document = {"samples_ns": samples_ns, "setting": worker.task.setting}
        found.append((median(samples_ns), document))
    return min(found, key=lambda one: one[0])[1]
