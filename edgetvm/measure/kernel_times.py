"""Where the time of a run goes: each call of a kernel, timed in real runs on this machine.

The caches are as in a run. What a time stamp itself costs is subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from edgetvm.package.executor import Executor

_WARM = 3


@dataclass(frozen=True)
class KernelTime:
    """All calls of one function in a run.

    Attributes:
        name: of a kernel, or of a function of the runtime.
        calls: in a run.
        us: of all calls together, the median of the runs.
    """

    name: str
    calls: int
    us: float


@dataclass(frozen=True)
class KernelTimes:
    """The times of one model.

    Attributes:
        functions: in the order of their first call.
        run_us: a whole run without stamps, the median.
        threads: that it ran on.
    """

    functions: tuple[KernelTime, ...]
    run_us: float
    threads: int


def time_kernels(executor: Executor, runs: int = 30, max_s: float = 20.0) -> KernelTimes:
    """Time each call of a model whose inputs were set.

    Args:
        executor: its inputs are set; its runs may be slower from then on.
        runs: timed; each is run twice, without stamps and with them.
        max_s: begin no run after so long; there is one at least.
    """
    ends = time.monotonic() + max_s
    whole_us = median(_repeated(executor.run_ns, runs, ends - max_s / 2)) / 1e3
    totals: dict[str, tuple[int, float]] = {}
    for samples in zip(*_repeated(executor.timed_calls, runs, ends), strict=True):
        name = samples[0].name
        calls, us = totals.get(name, (0, 0.0))
        totals[name] = calls + 1, us + median(one.ns for one in samples) / 1e3
    found = tuple(KernelTime(name, calls, us) for name, (calls, us) in totals.items())
    return KernelTimes(found, whole_us, executor.threads)


def _repeated(run: Callable[[], Any], runs: int, ends: float) -> list[Any]:
    """What the runs after the warm-up give."""
    for _ in range(_WARM):
        if time.monotonic() < ends:
            run()
    found = [run()]
    while len(found) < runs and time.monotonic() < ends:
        found.append(run())
    return found
