"""Many boards at once. One that fails holds nobody up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Queue
from threading import Semaphore, Thread
from typing import Generic, TypeVar

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.farm.inventory import Board

Value = TypeVar("Value")

_AT_ONCE = 32


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What came of one board: a value, or why there is none."""

    value: Value | None = None
    error: EdgetvmError | None = None


def failures(found: Mapping[str, Outcome[Value]]) -> dict[str, EdgetvmError]:
    """Why there is no value, by name of the board."""
    return {name: outcome.error for name, outcome in found.items() if outcome.error is not None}


def on_all(
    title: str, boards: Sequence[Board], work: Callable[[Board], Value]
) -> dict[str, Outcome[Value]]:
    """Do something with many boards at once. One that fails holds nobody up.

    Returns:
        for each board by name what came of it, in the order of `boards`.
    """
    done: Queue[tuple[str, Outcome[Value] | BaseException]] = Queue()
    found: dict[str, Outcome[Value]] = {}
    turns = Semaphore(_AT_ONCE)

    def work_on(board: Board) -> None:
        with turns:
            try:
                done.put((board.name, _outcome(work, board)))
            except BaseException as error:  # it belongs to whoever waits
                done.put((board.name, error))

    with step(title) as this:
        for board in boards:
            # Daemons: Ctrl-C must not wait until each board has answered or passed its deadline.
            Thread(target=work_on, args=(board,), name=board.name, daemon=True).start()
        while len(found) < len(boards):
            name, outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            found[name], this.detail = outcome, name
            this.tell("advanced", done=len(found), total=len(boards))
        failed = sum(outcome.error is not None for outcome in found.values())
        this.detail = f"{plural(failed, 'board')} failed" if failed else ""
        this.has_failed = failed > 0
    return {board.name: found[board.name] for board in boards}


def _outcome(work: Callable[[Board], Value], board: Board) -> Outcome[Value]:
    try:
        return Outcome(work(board))
    except EdgetvmError as error:
        return Outcome(error=error)
