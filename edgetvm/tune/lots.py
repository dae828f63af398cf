"""Builds that are asked for one by one, and made in lots: a module takes time by itself."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from edgetvm.base.workers import WorkerLate, WorkerLost

Job = TypeVar("Job")

# What is asked of a hand: a lot of jobs, whose answers are told in the same order.
Hand = Callable[[tuple[Any, ...]], Sequence[Any]]


@dataclass
class _Asked(Generic[Job]):
    """A job, and who waits for it. `alone`: it is no part of a lot of several."""

    job: Job
    alone: bool
    future: Future[Any] = field(default_factory=Future)

    def is_wanted(self) -> bool:
        """Whether it is to be made; one of a lot that was parted is under way already."""
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def end(self, answer: object) -> None:
        if isinstance(answer, BaseException):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


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
        self._waiting: deque[_Asked[Job]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for number, hand in enumerate(hands):
            threading.Thread(
                target=self._serve, args=(hand,), name=f"build {number}", daemon=True
            ).start()

    def submit(self, job: Job, alone: bool = False) -> Future[Any]:
        """Ask for a job.

        Args:
            job: what a hand is given.
            alone: not together with others, which would wait for it.

        Returns:
            the answer; the future raises an answer that is an exception, and whatever the hand
            raised.

        Raises:
            RuntimeError: it is closed.
        """
        asked = _Asked(job, alone)
        with self._changed:
            if self._closed:
                raise RuntimeError("no job can be asked for after the end")
            self._waiting.append(asked)
            self._changed.notify()
        return asked.future

    def close(self) -> None:
        """Make no more; what waits is cancelled."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for one in left:
            if not one.future.cancel():
                one.end(WorkerLost("closed"))

    def _serve(self, hand: Hand) -> None:
        while lot := self._next():
            taken = [one for one in lot if one.is_wanted()]
            if taken:
                self._make(hand, taken)

    def _next(self) -> list[_Asked[Job]]:
        """A fair part of what waits, as long as it may be made together; empty at the end."""
        with self._changed:
            while not (self._waiting or self._closed):
                self._changed.wait()
            if self._closed:
                return []
            fair = min(math.ceil(len(self._waiting) / self._hands), self._most)
            lot = [self._waiting.popleft()]
            while len(lot) < fair and not (lot[-1].alone or self._waiting[0].alone):
                lot.append(self._waiting.popleft())
            return lot

    def _make(self, hand: Hand, lot: list[_Asked[Job]]) -> None:
        try:
            answers = hand(tuple(one.job for one in lot))
            told = list(zip(lot, answers, strict=True))
        except (WorkerLost, WorkerLate) as error:
            if len(lot) == 1 or not self._part(lot):
                told = [(one, error) for one in lot]
            else:
                return
        except BaseException as error:  # it belongs to whoever asked, whatever a hand raises
            told = [(one, error) for one in lot]
        for one, answer in told:
            one.end(answer)

    def _part(self, lot: list[_Asked[Job]]) -> bool:
        """Have each made by itself, before all that waits; whether that is to be."""
        with self._changed:
            if self._closed:
                return False
            for one in reversed(lot):
                one.alone = True
                self._waiting.appendleft(one)
            self._changed.notify_all()
        return True
