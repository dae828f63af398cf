"""Executors of one model: threads that each have it opened once, and what waits for them."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import PackageError
from edgetvm.models.model import Arrays

Outputs = dict[str, NDArray[np.generic]]

# A run that nobody waits for any more has so long to end.
CLOSING_S = 5.0


class Runnable(Protocol):
    """An opened model; for one thread."""

    def run(self, inputs: Arrays) -> Outputs:
        """Set the inputs, run once, give the outputs."""


@dataclass(frozen=True)
class Ran:
    """One run.

    Attributes:
        queue_s: that it waited for an executor.
        run_s: that it had one.
    """

    outputs: Outputs
    queue_s: float
    run_s: float


@dataclass(frozen=True)
class _Job:
    inputs: Arrays
    came_s: float
    ran: Future[Ran]


class Executors:
    """Runs what is submitted, in the order in which it came."""

    def __init__(
        self, name: str, open_model: Callable[[], Runnable], cores: Sequence[Sequence[int]]
    ):
        """Start the threads and wait until each has opened the model.

        Args:
            name: of the model, for its threads.
            open_model: opens it; what it raises is raised here.
            cores: for each executor those that it may use; no others where there are some.
        """
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        opened: list[Future[None]] = []
        self._threads = []
        for index, own in enumerate(cores):
            done: Future[None] = Future()
            opened.append(done)
            thread = threading.Thread(
                target=self._work, args=(open_model, own, done), name=f"{name}-{index}", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        try:
            for done in opened:
                done.result()
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._threads)

    @property
    def waiting(self) -> int:
        """Runs that wait for an executor."""
        return self._jobs.qsize()

    def submit(self, inputs: Arrays) -> Future[Ran]:
        """Have inputs run, which fit the model. A run that is cancelled in time does not begin."""
        job = _Job(inputs, time.monotonic(), Future())
        self._jobs.put(job)
        return job.ran

    def close(self, within_s: float = CLOSING_S) -> bool:
        """End the threads, each when its run is done. Whether they ended in time.

        One that did not is left behind: it ends with its run, or with the process.
        """
        until_s = time.monotonic() + within_s
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(
        self, open_model: Callable[[], Runnable], cores: Sequence[int], opened: Future[None]
    ) -> None:
        try:
            if cores:
                os.sched_setaffinity(0, cores)  # of this thread alone
            model = open_model()
        except BaseException as error:  # it is raised where it can be told
            opened.set_exception(error)
            return
        opened.set_result(None)
        while (job := self._jobs.get()) is not None:
            if job.ran.set_running_or_notify_cancel():
                _answer(model, job)


def _answer(model: Runnable, job: _Job) -> None:
    began_s = time.monotonic()
    try:
        outputs = model.run(job.inputs)
    except Exception as error:  # told to who asked; the next run may do
        job.ran.set_exception(PackageError(f"the run failed: {error}"))
        return
    job.ran.set_result(Ran(outputs, began_s - job.came_s, time.monotonic() - began_s))


def shares(executors: int, threads: int) -> list[list[int]]:
    """Cores for each executor: so many of its own where there are enough, else all alike."""
    cores = sorted(os.sched_getaffinity(0))
    if executors == 1 or executors * threads > len(cores):
        return [[] for _ in range(executors)]
    return [cores[index * threads : (index + 1) * threads] for index in range(executors)]
