"""Runs candidates on a board, in a process of its own that keeps a session open.

The process can be killed where a candidate hangs; the board's server then ends the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgetvm.base.errors import BoardBusyError, BoardError, BoardGoneError
from edgetvm.base.workers import Worker, WorkerLate, WorkerLost
from edgetvm.farm.inventory import Board
from edgetvm.farm.linking import fault_of
from edgetvm.tune.jobs import Ran, RunJob
from edgetvm.tune.runner_process import Ended, Open, answering

_WAIT_FOR_BOARD_S = 20.0
# Beside the wait for a board: starting the process, connecting.
_PATIENCE_S = 20.0


class Runner(Protocol):
    """Whoever says how long candidates take.

    Attributes:
        board: that it asks.
    """

    board: Board

    def begin(self) -> None:
        """Get ready."""

    def run(self, job: RunJob) -> Ran:
        """Time a candidate. Whatever happens, it is told in the answer."""

    def close(self) -> None:
        """Give the board back, whatever runs there; the next job begins anew."""


class BoardRunner:
    """One board. Make one per board; asks of several threads must not overlap."""

    def __init__(self, board: Board) -> None:
        """Describe it; the process starts with `begin`, or with the first job."""
        self.board = board
        self._worker = Worker(answering)

    def begin(self) -> None:
        """Start the process."""
        self._worker.begin()

    def run(self, job: RunJob) -> Ran:
        """Time a candidate. Whatever happens, it is told in the answer."""
        allowed_s = job.allowed_s
        try:
            self._open(allowed_s)
        except BoardError as error:
            return Ran("board lost", error=error.what, begun=False)
        try:
            answer: Ran | Ended = self._worker.ask(job, allowed_s)
        except WorkerLate:
            return Ran("timeout", error=f"no answer within {allowed_s:g} s")
        except WorkerLost as error:
            return Ran("crash", error=f"the runner died: {error}")
        return answer if isinstance(answer, Ran) else self._explained(answer, allowed_s)

    def _open(self, allowed_s: float) -> Mapping[str, object]:
        """What the board says of itself."""
        there = self.board.now()
        wanted = Open(allowed_s, _WAIT_FOR_BOARD_S, str(there.tracker), there.key)
        try:
            facts: Mapping[str, object] = self._worker.ask(wanted, wanted.wait_s + _PATIENCE_S)
        except BoardBusyError as error:
            raise fault_of(there) or error from error
        except (WorkerLate, WorkerLost) as error:
            raise BoardGoneError(f"it could not be reached: {error}") from error
        return facts

    def _explained(self, ended: Ended, allowed_s: float) -> Ran:
        """Whether the candidate's process died on the board, or the board with it."""
        try:
            facts = self._open(allowed_s)
        except BoardError as error:
            return Ran("board lost", error=error.what)
        if facts and facts.get("last_exit_code") is None:
            return Ran("board lost", error="its server was started anew", environment=facts)
        return Ran("crash", error=ended.words, environment=facts)

    def close(self) -> None:
        """Give the board back, whatever runs there; the next job begins anew."""
        worker, self._worker = self._worker, Worker(answering)
        worker.close()
