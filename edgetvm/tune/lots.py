"""Builds that are asked for one by one, and made in lots: a module takes time by itself."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from edgetvm.base.workers import WorkerLate, WorkerLost

Job = TypeVar("Job")

# What is asked of a hand: a lot of jobs, whose answers are told in the same order.
Hand = Callable[[tuple[Any, ...]], Sequence[Any]]


class Lots(Generic[Job]):
    """A queue of jobs, and hands that make them.

    A hand that dies or hangs with a lot is given each job of it by itself: the others are spared.
    """

    def __init__(self, hands: Sequence[Hand], most: int) -> None:
        """Begin empty.

        Args:
            hands: each makes one lot at a time; an answer that is an exception is raised to whoever
                asked for the job.
            most: jobs in a lot.
        """
        self._most, self._hands = most, len(hands)
        self._waiting: deque[tuple[Job, Future[Any]]] = deque()
        # Of a lot that could not be made.
        self._alone: deque[tuple[Job, Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for number, hand in enumerate(hands):
            threading.Thread(
                target=self._serve, args=(hand,), name=f"build {number}", daemon=True
            ).start()

    def submit(self, job: Job) -> Future[Any]:
        """Ask for a job."""
        future: Future[Any] = Future()
        with self._changed:
            self._waiting.append((job, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Make no more; what waits is cancelled."""
        with self._changed:
            self._closed = True
            left = [*self._waiting, *self._alone]
            self._changed.notify_all()
        for _, future in left:
            future.cancel()

    def _serve(self, hand: Hand) -> None:
        while lot := self._next():
            taken = [one for one in lot if _is_wanted(one[1])]
            if taken:
                self._make(hand, taken)

    def _next(self) -> list[tuple[Job, Future[Any]]]:
        """Empty at the end."""
        with self._changed:
            while not (self._waiting or self._alone or self._closed):
                self._changed.wait()
            if self._closed:
                return []
            if self._alone:
                return [self._alone.popleft()]
            fair = math.ceil(len(self._waiting) / self._hands)
            return [self._waiting.popleft() for _ in range(min(fair, self._most))]

    def _make(self, hand: Hand, lot: list[tuple[Job, Future[Any]]]) -> None:
        try:
            answers = hand(tuple(job for job, _ in lot))
        except (WorkerLost, WorkerLate) as error:
            if len(lot) > 1:
                with self._changed:
                    self._alone.extend(lot)
                    self._changed.notify_all()
                return
            answers = [error]
        except Exception as error:  # it belongs to whoever asked
            answers = [error] * len(lot)
        for (_, future), answer in zip(lot, answers, strict=True):
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)


def _is_wanted(future: Future[Any]) -> bool:
    """Whether a job is to be made; one of a lot that was parted is under way already."""
    return future.running() or future.set_running_or_notify_cancel()
