"""Candidates on their way through builders and boards, and how they end."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from edgetvm.base.workers import WorkerLate, WorkerLost
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.allocation import TaskState, default_choice
from edgetvm.tune.building import Built
from edgetvm.tune.jobs import Loadable, Ran
from edgetvm.tune.records import Outcome
from edgetvm.tune.tasks import Form


@dataclass
class Candidate:
    """A schedule on its way through builders and boards.

    Attributes:
        state: of its task.
        form: of the task, that is scheduled.
        choice: of the schedule.
        built: what became of it; None before.
        attempts: runs that were begun.
    """

    state: TaskState
    form: Form
    choice: KernelChoice
    built: Built | None = None
    attempts: int = 0

    @property
    def loadable(self) -> Loadable:
        """As a board takes it, once it is built."""
        if self.built is None:
            raise ValueError("a candidate that is not built cannot be run")
        return self.built.loadable(self.form.arguments)

    @property
    def is_default(self) -> bool:
        """Whether it is its task's yardstick."""
        form = self.state.task.form
        return self.form is form and self.choice == default_choice(form)


@dataclass(frozen=True)
class Event:
    """Something that ended: a build, or a run."""

    candidate: Candidate
    built: Built | None = None
    ran: Ran | None = None
    error: Exception | None = None
    board: str = ""


def told_built(
    events: queue.SimpleQueue[Event], candidate: Candidate
) -> Callable[[Future[Built]], None]:
    """What a build's future calls at its end."""

    def told(future: Future[Built]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, Exception):
            events.put(Event(candidate, error=error))
        elif error is None:
            events.put(Event(candidate, built=future.result()))

    return told


def build_failure(error: Exception | None) -> tuple[Outcome, str]:
    """What became of a candidate that could not be built, and why."""
    if isinstance(error, WorkerLate):
        return "timeout", f"while it was built: {error}"
    if isinstance(error, WorkerLost):
        return "build error", f"the builder died: {error}"
    words = str(error).strip().splitlines() or [type(error).__name__]
    return "build error", words[-1]
