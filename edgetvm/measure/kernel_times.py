"""Where the time of a run goes: each call of a kernel, timed in real runs on this machine.

The caches are as in a run. What a time stamp itself costs is subtracted: the virtual machine hands
every call's arguments to Python, which takes microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
        executor: its inputs are set; its runs carry stamps from then on.
        runs: timed; each is run twice, without stamps and with them.
        max_s: begin no run after so long; there is one at least.
    """
    ends = time.monotonic() + max_s
    whole_us = median(_repeated(executor.run_ns, runs, ends - max_s / 2)) / 1e3
    stamps = _Stamps()
    executor.watch(stamps)
    each = _repeated(lambda: stamps.of_a_run(executor.run_ns), runs, ends)
    medians = [median(samples) for samples in zip(*each, strict=True)]
    # The shortest call does nothing to speak of: its time is the stamp's.
    least_ns = min(medians, default=0.0)
    totals: dict[str, tuple[int, float]] = {}
    for name, cost_ns, taken_ns in zip(stamps.names, stamps.costs_ns, medians, strict=True):
        calls, us = totals.get(name, (0, 0.0))
        totals[name] = calls + 1, us + max(0.0, taken_ns - least_ns - cost_ns) / 1e3
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


class _Stamps:
    """What the virtual machine calls before and after each call of a run."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.costs_ns: list[float] = []
        self._taken_ns: list[int] = []
        self._known = False
        self._began_ns = 0

    def __call__(self, _function: Any, name: str, before: bool, _value: Any, *args: Any) -> int:
        if not before:
            self._taken_ns.append(time.perf_counter_ns() - self._began_ns)
            return 0
        if not self._known:
            self.names.append(name)
            self.costs_ns.append(_cost_ns(args))
        self._began_ns = time.perf_counter_ns()
        return 0

    def of_a_run(self, run: Callable[[], object]) -> list[int]:
        """The time of each call of one run, in nanoseconds."""
        self._taken_ns = []
        run()
        self._known = True
        return self._taken_ns


def _cost_ns(args: Sequence[Any]) -> float:
    """What it costs to hand these arguments to Python, which a stamp's time includes."""
    import tvm_ffi

    nothing = tvm_ffi.convert(lambda *_: None)

    def median_ns(*given: Any) -> float:
        samples = []
        for _ in range(9):
            began_ns = time.perf_counter_ns()
            nothing(*given)
            samples.append(time.perf_counter_ns() - began_ns)
        return median(samples)

    return max(0.0, median_ns(*args) - median_ns())
