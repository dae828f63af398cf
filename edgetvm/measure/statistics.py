"""Figures computed from raw samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.measure.measurement import Measurement, ThreadTurns
from edgetvm.measure.real_time import Chunks

# Below it the 99th percentile is the slowest run, or the next to it.
_FEWEST_FOR_P99 = 200
# What lies closer to one thread's speed may be chance.
_THREADS_LOSE = 0.9


def percentile(sorted_values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` of the samples lie, without interpolation.

    Source: MLPerf loadgen, results.cc: `sorted[floor(n * fraction)]`, the last one at most.

    Raises:
        ValueError: no samples, or a fraction outside [0, 1].
    """
    if not sorted_values or not 0 <= fraction <= 1:
        raise ValueError("a percentile needs samples and a fraction between 0 and 1")
    return sorted_values[min(math.floor(len(sorted_values) * fraction), len(sorted_values) - 1)]


def thread_gain(turns: ThreadTurns) -> float:
    """How many times faster a run is on all threads than on one, by the medians."""
    return percentile(sorted(turns.one_ns), 0.5) / percentile(sorted(turns.all_ns), 0.5)


@dataclass(frozen=True)
class Summary:
    """The figures of one measurement. Latencies are of one run, or one chunk of a stream.

    Attributes:
        cold_start_ms: open plus first run.
        real_time_factor: processing time / duration of the signal; None unless a stream.
        deadline_misses: runs over the deadline, in real time of waiting too; None where the recipe
            gives none.
        warnings: why the figures may not be trusted, each with its remedy.
    """

    count: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    cold_start_ms: float
    real_time_factor: float | None
    deadline_misses: int | None
    warnings: tuple[str, ...]


def _warnings(measurement: Measurement, p50_ms: float, p90_ms: float) -> tuple[str, ...]:
    environment = measurement.environment
    found = []
    if environment.emulated:
        found.append("emulated board: the times say nothing about a real one")
    if len(measurement.samples_ns) < _FEWEST_FOR_P99:
        found.append(
            f"p99 of {len(measurement.samples_ns)} samples is little more than the maximum: "
            f"measure at least {_FEWEST_FOR_P99} (--runs, --max-time)"
        )
    if p90_ms > 1.25 * p50_ms:
        found.append("p90 is over 1.25 times p50: something else ran; close it and measure again")
    turns = measurement.thread_turns
    if turns is not None and thread_gain(turns) < _THREADS_LOSE:
        times = 1 / thread_gain(turns)
        told = f"{times:.1f}" if times < 10 else f"{times:.0f}"
        found.append(
            f"{environment.threads} threads take {told} times as long as one (timed in turns): run "
            "it with --threads 1"
        )
    if environment.governor not in (None, "performance"):
        found.append(
            f"the clock governor is {environment.governor}: set it to performance for steady times"
        )
    if environment.load_average > environment.cores:
        found.append(
            f"the load was {environment.load_average:.1f} on {environment.cores} cores before the "
            "first run: wait until the board is idle"
        )
    return tuple(found)


def _deadline_misses(measurement: Measurement) -> int | None:
    if measurement.real_time is not None:
        return int(Chunks(measurement.real_time).late.sum())
    if measurement.deadline_ms is None:
        return None
    return sum(sample / 1e6 > measurement.deadline_ms for sample in measurement.samples_ns)


def summarise(measurement: Measurement) -> Summary:
    """Compute the figures of a measurement."""
    samples_ms = sorted(sample / 1e6 for sample in measurement.samples_ns)
    mean_ms = sum(samples_ms) / len(samples_ms)
    p50_ms, p90_ms, p99_ms = (percentile(samples_ms, part) for part in (0.5, 0.9, 0.99))
    return Summary(
        count=len(samples_ms),
        min_ms=samples_ms[0],
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        max_ms=samples_ms[-1],
        mean_ms=mean_ms,
        cold_start_ms=(measurement.open_ns + measurement.first_run_ns) / 1e6,
        real_time_factor=mean_ms / measurement.chunk_ms if measurement.chunk_ms else None,
        deadline_misses=_deadline_misses(measurement),
        warnings=_warnings(measurement, p50_ms, p90_ms),
    )
