"""Candidates that are built, waiting for boards. A board stays with its task where it can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Candidate = TypeVar("Candidate")


class Ready(Generic[Candidate]):
    """A queue that many boards take from.

    A board has the default kernel of its last task loaded and timed, and another task's costs it as
    much as a candidate does. So it is given its last task's candidates first, then those of a task
    that no board is at.
    """

    def __init__(self, task_of: Callable[[Candidate], str]) -> None:
        """Begin empty.

        Args:
            task_of: key of a candidate's task.
        """
        self._task_of = task_of
        self._waiting: list[Candidate] = []
        self._last: dict[str, str] = {}
        self._changed = threading.Condition()

    def put(self, candidate: Candidate) -> None:
        """Add one behind the others."""
        with self._changed:
            self._waiting.append(candidate)
            self._changed.notify()

    def take(self, board: str, timeout_s: float) -> Candidate | None:
        """The next for a board; None where none came in time."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._waiting:
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    return None
            found = self._waiting.pop(self._place(board))
            self._last[board] = self._task_of(found)
            return found

    def _place(self, board: str) -> int:
        tasks = [self._task_of(one) for one in self._waiting]
        own = self._last.get(board)
        if own in tasks:
            return tasks.index(own)
        others = set(self._last.values())
        return next((at for at, task in enumerate(tasks) if task not in others), 0)
