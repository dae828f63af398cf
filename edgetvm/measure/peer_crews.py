"""Peers that are loaded and wait for their turns: in processes of this machine, or of a board."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from edgetvm.measure.peers import crew
from edgetvm.measure.peers.answers import answer_error
from edgetvm.measure.peers.case import Task

LOAD_TIMEOUT_S = 300.0

# Told of each task that has no runs, and why.
Lost = Callable[[Task, str], None]


class Runner(Protocol):
    """One peer with one setting, in a process that is stopped unless it is its turn."""

    @property
    def task(self) -> Task:
        """What it runs."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the peer tells of itself: its version and precision."""

    @property
    def error(self) -> float:
        """Of its answers: see `edgetvm.measure.peers.answers`."""

    def turn(self, warm_s: float, seconds: float, least: int) -> list[int]:
        """Run for so long, after runs that do not count. Gives durations in nanoseconds.

        Raises:
            WorkerLost: it died or hangs.
            BoardError: the board failed.
        """


class _Here:
    """A process of this machine."""

    def __init__(self, worker: crew.Worker) -> None:
        self.task, self.facts, self.turn = worker.task, worker.facts, worker.turn
        self.error = answer_error(worker.answers, worker.task.case.expected())


@contextmanager
def crew_here(tasks: Sequence[Task], lost: Lost) -> Iterator[list[Runner]]:
    """Runners on this machine, until the block ends."""
    workers = crew.start(tasks, os.cpu_count() or 1, LOAD_TIMEOUT_S, lost)
    try:
        yield [_Here(worker) for worker in workers]
    finally:
        crew.end(workers)
