"""Work on one board of several, and how it ended: a board's trouble is not the model's fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from edgetvm.base.errors import (
    BoardBusyError,
    BoardCrashError,
    BoardError,
    BoardMemoryError,
    BoardTimeoutError,
    EdgetvmError,
)
from edgetvm.base.steps import warn
from edgetvm.farm.hands import WAIT_S, any_in_hand
from edgetvm.farm.inventory import Board

Value = TypeVar("Value")

Ending = Literal["ok", "failed", "infrastructure error", "cancelled", "timed out"]

# Told by the board of the model: it fails on any other of its kind, too.
_OF_THE_MODEL = (BoardCrashError, BoardMemoryError)
_ATTEMPTS = 2


@dataclass(frozen=True)
class Job(Generic[Value]):
    """What became of some work.

    Attributes:
        ending: `infrastructure error` never counts against the model.
        board: that it ran on last; empty where none was had.
        value: where it is ok.
        error: where it is not; says why.
        attempts: on how many boards.
    """

    ending: Ending
    board: str
    value: Value | None = None
    error: BaseException | None = None
    attempts: int = 1


def ending_of(error: BaseException | None) -> Ending:
    """How work ended that raised this."""
    if error is None:
        return "ok"
    if isinstance(error, KeyboardInterrupt):
        return "cancelled"
    if isinstance(error, BoardTimeoutError):
        return "timed out"
    if isinstance(error, BoardError) and not isinstance(error, _OF_THE_MODEL):
        return "infrastructure error"
    return "failed"


def run_job(
    boards: Sequence[Board],
    work: Callable[[Board], Value],
    *,
    purpose: str = "",
    wait_s: float = WAIT_S,
) -> Job[Value]:
    """Do some work on whichever board is had first; after an infrastructure error on another.

    Args:
        boards: of one profile.
        work: with a board in hand and its server up.
        purpose: of the lease.
        wait_s: for a board.
    """
    left, attempts, last = list(boards), 0, Job[Value]("infrastructure error", "")
    while left and attempts < _ATTEMPTS:
        attempts += 1
        name = ""
        try:
            with any_in_hand(left, purpose=purpose, wait_s=wait_s) as board:
                name = board.name
                return Job("ok", name, work(board), None, attempts)
        except (EdgetvmError, KeyboardInterrupt) as error:
            last = Job(ending_of(error), name, None, error, attempts)
        if last.ending != "infrastructure error" or isinstance(last.error, BoardBusyError):
            break
        left = [one for one in left if one.name != name] if name else left[1:]
        if left and attempts < _ATTEMPTS:
            warn(f"{last.error}: tried once more on another board")
    return last
