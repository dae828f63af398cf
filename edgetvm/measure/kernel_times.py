"""Where the time of a run goes: each call of a kernel, timed in real runs.

The caches are as in a run. What a time stamp itself costs is subtracted.

Each kernel's time is a mean over the same runs, so that they add up to a run. Medians do not: where
something else runs now and then, most calls of each kernel are quick in runs that are slow all the
same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from edgetvm.farm.session import BoardSession
from edgetvm.package.engines import TimedCall
from edgetvm.package.executor import Executor

Run = TypeVar("Run")

_WARM = 3


@dataclass(frozen=True)
class KernelTime:
    """All calls of one function in a run.

    Attributes:
        name: of a kernel, or of a function of the runtime.
        calls: in a run.
        us: of all calls together, the mean of the runs that were neither slow nor quick.
    """

    name: str
    calls: int
    us: float


@dataclass(frozen=True)
class KernelTimes:
    """The times of one model.

    Attributes:
        functions: in the order of their first call.
        run_us: a whole run without stamps, the mean of those that were neither slow nor quick.
        threads: that it ran on.
    """

    functions: tuple[KernelTime, ...]
    run_us: float
    threads: int

    @property
    def sum_us(self) -> float:
        """Of all functions."""
        return sum(one.us for one in self.functions)


def time_kernels(executor: Executor, runs: int = 30, max_s: float = 20.0) -> KernelTimes:
    """Time each call of a model on this machine, whose inputs were set.

    Args:
        executor: its inputs are set; its runs may be slower from then on.
        runs: timed; each is run twice, without stamps and with them.
        max_s: begin no run after so long; there is one at least.
    """
    ends = time.monotonic() + max_s
    whole_ns = [float(ns) for ns in _repeated(executor.run_ns, runs, ends - max_s / 2)]
    stamped = _repeated(executor.timed_calls, runs, ends)
    return _kernel_times(whole_ns, stamped, executor.threads)


def time_kernels_on(
    session: BoardSession, threads: int, runs: int = 30, max_s: float = 0.5
) -> KernelTimes:
    """Time each call of the model that is open on a board, on the inputs that were last set.

    Args:
        threads: that it was opened with.
        runs: at most; each is run twice, without stamps and with them.
        max_s: begin no run after so long; there is one at least.
    """
    whole_ns = session.time_runs(runs, max_s / 2).astype(float).tolist()
    names, table_ns = session.time_kernels(runs, max_s / 2)
    stamped = [list(map(TimedCall, names, row)) for row in table_ns.tolist()]
    return _kernel_times(whole_ns, stamped, threads)


def _kernel_times(
    whole_ns: list[float], stamped: list[list[TimedCall]], threads: int
) -> KernelTimes:
    totals: dict[str, tuple[int, float]] = {}
    for samples in zip(*_middle(stamped, _total_ns), strict=True):
        name = samples[0].name
        calls, us = totals.get(name, (0, 0.0))
        totals[name] = calls + 1, us + fmean(one.ns for one in samples) / 1e3
    middle_ns: list[float] = _middle(whole_ns, float)
    whole_us = fmean(middle_ns) / 1e3
    found = tuple(KernelTime(name, calls, us) for name, (calls, us) in totals.items())
    return KernelTimes(found, whole_us, threads)


def _total_ns(calls: Sequence[TimedCall]) -> float:
    return sum(one.ns for one in calls)


def _middle(samples: list[Run], ns: Callable[[Run], float]) -> list[Run]:
    """The half of the runs that is left without the quickest and the slowest quarter."""
    cut = len(samples) // 4
    return sorted(samples, key=ns)[cut : len(samples) - cut]


def _repeated(run: Callable[[], Run], runs: int, ends: float) -> list[Run]:
    """What the runs after the warm-up give."""
    for _ in range(_WARM):
        if time.monotonic() < ends:
            run()
    found = [run()]
    while len(found) < runs and time.monotonic() < ends:
        found.append(run())
    return found
