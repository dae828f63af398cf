"""Variants and peers in turns on one board, so that what drifts hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import step, unheard
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import connect
from edgetvm.farm.standing_boards import answers
from edgetvm.measure.experiment.goals import too_slow
from edgetvm.measure.experiment.ledger import rounds_in
from edgetvm.measure.experiment.reading import Slot, row_of
from edgetvm.measure.experiment.rows import ratio
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.measuring import measure
from edgetvm.measure.plan import Plan
from edgetvm.workflow.bench import ENDING
from edgetvm.workflow.comparing import Turn, measurer
from edgetvm.workflow.experimenting.building import Ready, Work, each


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

    return each(f"run the data on {board.name}", work, ready, run, partial(_is_gone, board))


def _is_gone(board: Board, error: EdgetvmError) -> bool:
    """Whether an error is of a board that is not there any more, which is asked once."""
    return isinstance(error, ENDING) and not answers(board)


def _measured(work: Work, board: Board, ready: Ready) -> Measurement:
    """Once, with the data; where times say nothing, with as few runs as can be."""
    how, real = work.experiment.measure, ready.slot.is_real
    plan = Plan(
        runs=how.runs if real else 1,
        warmup=None if real else 0,
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
            recipe=ready.subject.recipe,
            plan=plan,
        )


def sides_of(
    work: Work, board: Board, ready: Sequence[Ready], beside: Sequence[Side]
) -> list[Side]:
    """The variants that lack turns, and the baseline in as many rounds as anything has turns.

    Args:
        beside: what else has turns.
    """
    lacking = [lacking_turns(work, one.slot) for one in ready]
    most = max([*lacking, *(side.wanted for side in beside)], default=0)
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


def lacking_turns(work: Work, slot: Slot) -> int:
    """How many turns something lacks."""
    lacking = work.experiment.measure.rounds - rounds_in(work.ledger.entries(slot.key))
    return max(0, lacking)


def take_turns(work: Work, board: Board, sides: Sequence[Side], first_turn: int = 0) -> None:
    """Give every side the turns that it lacks, forwards and backwards, each noted when taken.

    What fails, or is too slow for the goals, has no more of them.

    Args:
        board: that stands.
        first_turn: number of the first of this session.

    Raises:
        BoardError: the board is gone.
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
                if not _took(work, board, side, first_turn + turn):
                    del left[side.slot.key]
            _drop_slow(work, left)
        this.detail = f"{done} turns"


def _in_order(sides: list[Side], turn: int) -> list[Side]:
    return sides[::-1] if turn % 2 else sides


def _took(work: Work, board: Board, side: Side, turn: int) -> bool:
    try:
        with unheard():
            document = side.take()
    except EdgetvmError as error:
        if _is_gone(board, error):
            raise
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
