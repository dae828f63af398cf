"""Builds candidates in warm worker processes, here or on the workers of a Dask cluster.

TVM's LocalBuilder starts new processes for every batch, and each parses the intrinsics of every
GPU: 20 to 35 s a batch. A worker here imports TVM once, and a candidate then takes 0.025 s.
Candidates become shared objects, so that a board needs no compiler.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from edgetvm.base.errors import MissingToolError, UsageError
from edgetvm.base.workers import Answer, Worker, WorkerLate, WorkerLost, portable
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.tuned import NO_RULE, KernelChoice
from edgetvm.tune.drawing import DrawJob, draw_traces
from edgetvm.tune.jobs import Loadable, Tensor
from edgetvm.tune.lots import Lots

# Of a candidate's build, and of each more in a lot.
_TIMEOUT_S = 60.0
_MORE_S = 10.0
# Beside it, for a cluster to bring a job to a worker, and to another where the first one died.
_CLUSTER_S = 60.0
# For a cluster to answer, at first or again.
_CONNECT_S = 10
# Candidates that are built together: of twice as many each takes as long.
LOT = 8
_DASK = "dask://"


@dataclass(frozen=True)
class BuildJob:
    """A candidate to build.

    Attributes:
        kernel: unscheduled, as TVM's JSON.
        choice: its schedule.
        profile: of the board.
        options: how it is compiled.
    """

    kernel: str
    choice: KernelChoice
    profile: BoardProfile
    options: CompileOptions


@dataclass(frozen=True)
class Built:
    """A candidate that is built.

    Attributes:
        library: a shared object with the kernel; it may have others too.
        function: the kernel's name there.
    """

    library: bytes
    function: str = "main"

    def loadable(self, arguments: tuple[Tensor, ...]) -> Loadable:
        """As a board takes it, with the kernel's arguments."""
        return Loadable(self.library, arguments, self.function)


def build_candidate(job: BuildJob) -> Built:
    """Schedule a kernel and compile it.

    Raises:
        UsageError: the schedule is no choice for this kernel.
        Exception: whatever TVM raises of a kernel that it cannot compile.
    """
    (built,) = build_together((job,))
    if isinstance(built, Exception):
        raise built
    return built


def build_together(jobs: Sequence[BuildJob]) -> tuple[Built | Exception, ...]:
    """Schedule kernels and compile them into one library; what became of each.

    Args:
        jobs: of one profile and the same options.
    """
    scheduled = [_scheduled(one) for one in jobs]
    kernels = [one for one in scheduled if not isinstance(one, Exception)]
    named = {f"candidate{at}": one for at, one in enumerate(kernels)}
    library = _library(named, jobs[0]) if named else b""
    if isinstance(library, Exception):
        if len(jobs) == 1:
            return (library,)
        half = len(jobs) // 2  # to find out whose fault it is
        return build_together(jobs[:half]) + build_together(jobs[half:])
    names = iter(named)
    return tuple(
        one if isinstance(one, Exception) else Built(library, next(names)) for one in scheduled
    )


def _scheduled(job: BuildJob) -> Any:
    """The kernel, or why it cannot be scheduled."""
    try:
        return scheduled_kernel(job.kernel, job.choice, job.profile, job.options)[0]
    except Exception as error:  # whatever TVM raises, or the author of a rule
        return error


def _library(kernels: Mapping[str, Any], like: BuildJob) -> bytes | Exception:
    """With all kernels, or why they cannot be compiled."""
    from edgetvm.base.native import native_words_kept_back
    from edgetvm.compile.native.kernels import build_kernels
    from edgetvm.compile.target import target_for

    try:
        with native_words_kept_back():
            target = target_for(like.profile, like.options)
            return build_kernels(kernels, target, like.options.level)
    except Exception as error:  # whatever TVM raises of a kernel
        return error


def answering() -> Answer:
    """In a worker: builds or draws whatever job it is sent."""
    import tvm  # noqa: F401 - it takes seconds, which the first job need not wait for

    return _answer


def _answer(asked: Sequence[BuildJob] | Sequence[DrawJob]) -> tuple[Any, ...]:
    """What became of each, or an exception to raise."""
    builds = [one for one in asked if isinstance(one, BuildJob)]
    if builds:
        return tuple(
            portable(one) if isinstance(one, Exception) else one for one in build_together(builds)
        )
    return tuple(draw_traces(one) for one in asked if isinstance(one, DrawJob))


def scheduled_kernel(
    kernel: str, choice: KernelChoice, profile: BoardProfile, options: CompileOptions
) -> tuple[Any, Decisions]:
    """A kernel as it was chosen, and the decisions that were taken.

    Args:
        kernel: unscheduled, as TVM's JSON.
        choice: its schedule.
        profile: of the board.
        options: how it is compiled.

    Raises:
        UsageError: the schedule is no choice for this kernel.
    """
    from edgetvm.base.native import native_words_kept_back
    from edgetvm.compile.schedules import scheduled_as
    from edgetvm.compile.target import target_for

    function, decisions = _kernel(kernel), Decisions(choice.decisions)
    if choice == KernelChoice(NO_RULE):
        return function, decisions
    with native_words_kept_back(), target_for(profile, options):
        scheduled = scheduled_as(function, profile, choice, decisions)
    if scheduled is None:
        raise UsageError(f"{choice.rule!r} has no such schedule for this kernel")
    return scheduled, decisions


@functools.lru_cache(maxsize=256)
def _kernel(text: str) -> Any:
    from tvm import ir

    return ir.load_json(text)


class Builder(Protocol):
    """Whoever builds candidates."""

    @property
    def workers(self) -> int:
        """How many lots it builds at a time."""

    def submit(self, job: BuildJob) -> Future[Built]:
        """Begin to build. The future raises whatever the build raised, `WorkerLost` or
        `WorkerLate` where its process died or hung."""

    def draw(self, job: DrawJob) -> Future[tuple[str, ...]]:
        """Begin to draw traces of MetaSchedule's space; the future raises as that of `submit`."""

    def paused(self) -> AbstractContextManager[None]:
        """Keep it from computing on this machine meanwhile."""

    def close(self) -> None:
        """End it."""


class LocalBuilder:
    """Processes of this machine that outlive candidates."""

    def __init__(self, workers: int) -> None:
        """Start so many."""
        self.workers = workers
        self._all = [Worker(answering) for _ in range(workers)]
        for one in self._all:
            one.begin()
        self._lots = Lots[BuildJob | DrawJob](
            [functools.partial(_ask, one) for one in self._all], LOT
        )

    def submit(self, job: BuildJob) -> Future[Built]:
        return self._lots.submit(job)

    def draw(self, job: DrawJob) -> Future[tuple[str, ...]]:
        return self._lots.submit(job, alone=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        for worker in self._all:
            worker.pause()
        try:
            yield
        finally:
            for worker in self._all:
                worker.go_on()

    def close(self) -> None:
        self._lots.close()
        for worker in self._all:
            worker.close()


class DaskBuilder:
    """The workers of a Dask cluster, each with edgetvm installed.

    A future also raises `MissingToolError` where the cluster is gone: no candidate is to blame.
    """

    def __init__(self, address: str) -> None:
        """Connect to a scheduler.

        Args:
            address: HOST:PORT of the scheduler.

        Raises:
            MissingToolError: `distributed` is not installed.
            UsageError: no scheduler answers there, or it has no workers.
        """
        try:
            import distributed
        except ImportError as error:
            raise MissingToolError(
                "distributed, which reaches a Dask cluster, is not installed",
                mend="run: pip install 'edgetvm[dask]'",
            ) from error
        self._named = f"--builders {_DASK}{address}"
        try:
            self._client = distributed.Client(
                f"tcp://{address}", timeout=_CONNECT_S, set_as_default=False
            )
        except (OSError, TimeoutError) as error:
            raise UsageError("no Dask scheduler answers there", where=self._named) from error
        self.workers = sum(self._client.nthreads().values())
        if self.workers == 0:
            self._client.close()
            raise UsageError(
                "this Dask cluster has no workers",
                where=self._named,
                mend=f"start some: dask worker tcp://{address}",
            )
        # No more lots at a time than the cluster has threads: none waits there for another.
        self._lots = Lots[BuildJob | DrawJob]([self._ask] * self.workers, LOT)

    def submit(self, job: BuildJob) -> Future[Built]:
        return self._lots.submit(job)

    def draw(self, job: DrawJob) -> Future[tuple[str, ...]]:
        return self._lots.submit(job, alone=True)

    def _ask(self, jobs: tuple[BuildJob | DrawJob, ...]) -> Any:
        from distributed import CancelledError, KilledWorker

        allowed_s = _allowed_s(jobs) + _CLUSTER_S
        try:
            remote = self._client.submit(_answer_apart, jobs, pure=False)
        except Exception as error:  # whatever Dask raises where it has lost the scheduler
            raise self._gone() from error
        try:
            return remote.result(allowed_s)
        except KilledWorker as error:
            raise WorkerLost("each Dask worker that had it died") from error
        except CancelledError as error:
            raise self._gone() from error
        except TimeoutError as error:
            if not self._has_workers():
                raise self._gone() from error
            raise WorkerLate(f"no answer within {allowed_s:g} s") from error

    def _has_workers(self) -> bool:
        try:
            return bool(self._client.nthreads())
        except Exception:  # whatever Dask raises where it has lost the scheduler
            return False

    def _gone(self) -> MissingToolError:
        return MissingToolError(
            "this Dask cluster is gone, or has no workers any more",
            where=self._named,
            mend="run the same command again: what was measured is kept",
        )

    def paused(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def close(self) -> None:
        self._lots.close()
        self._client.close()


def _ask(worker: Worker, jobs: tuple[BuildJob | DrawJob, ...]) -> Any:
    return worker.ask(jobs, _allowed_s(jobs))


def _allowed_s(jobs: Sequence[BuildJob | DrawJob]) -> float:
    return _TIMEOUT_S + _MORE_S * (len(jobs) - 1)


_mine = threading.local()


def _answer_apart(jobs: tuple[BuildJob | DrawJob, ...]) -> Any:
    """In a Dask worker: answers in a process of the thread's own, so that a candidate that crashes
    or hangs costs itself and not the worker."""
    if not hasattr(_mine, "worker"):
        _mine.worker = Worker(answering)
    return _ask(_mine.worker, jobs)
