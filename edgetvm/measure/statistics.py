"""Figures computed from raw samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetvm.base.words import plural
from edgetvm.measure.early_stopping import estimate_rank, least_queries, most_over
from edgetvm.measure.measurement import Measurement, ThreadTurns
from edgetvm.measure.real_time import Chunks
from edgetvm.measure.rules import TOLD_PERCENTILES, WITH_WAITING, Scenario
from edgetvm.measure.samples import Samples, ranked
from edgetvm.measure.windows import Window, reasons, told_invalid, valid_samples

# Below it the 99th percentile is the slowest run, or the next to it.
_FEWEST_FOR_P99 = 200
# Of a percentile's bounds.
_CONFIDENCE = 0.95
_PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
# What lies closer to one thread's speed may be chance.
_THREADS_LOSE = 0.9
_INVALID = "INVALID: "
# A cold start is no run, and chunks in real time come at their own rate.
_NO_THROUGHPUT: frozenset[Scenario] = frozenset({"cold-start", "real-time"})


def percentile(sorted_values: Sequence[float], fraction: float) -> float:
    """The value below which `fraction` of the samples lie, without interpolation.

    Source: MLPerf loadgen, results.cc: `sorted[floor(n * fraction)]`, the last one at most.

    Raises:
        ValueError: no samples, or a fraction outside [0, 1].
    """
    return sorted_values[percentile_rank(len(sorted_values), fraction)]


def percentile_rank(count: int, fraction: float) -> int:
    """Where that value stands among `count` sorted samples, from 0 on.

    Raises:
        ValueError: see `percentile`.
    """
    if count < 1 or not 0 <= fraction <= 1:
        raise ValueError("a percentile needs samples and a fraction between 0 and 1")
    return min(math.floor(count * fraction), count - 1)


def bound_ranks(count: int, fraction: float) -> tuple[int, int] | None:
    """Where the bounds of a percentile stand among `count` sorted samples, from 0 on.

    Between them the percentile of all that could be sampled lies with 95% confidence, whatever
    their distribution is: order statistics, whose ranks a binomial distribution tells.

    Returns:
        None where the samples are too few.
    """
    from scipy.stats import binom

    low, high = binom.ppf(((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2), count, fraction)
    return (int(low) - 1, int(high)) if low >= 1 and high < count else None


def thread_gain(turns: ThreadTurns) -> float:
    """How many times faster a run is on all threads than on one, by the medians."""
    return percentile(sorted(turns.one_ns), 0.5) / percentile(sorted(turns.all_ns), 0.5)


@dataclass(frozen=True)
class Summary:
    """The figures of one measurement, of its valid windows; of all where none is valid.

    Latencies are of one query, or one chunk of a stream.

    Attributes:
        count: of the samples that they are of.
        bounds_ms: of `p50`, `p90`, `p99`, `p99.9`: between them the percentile lies with 95%
            confidence. Those that the samples are too few for are left out.
        early_stopping_ms: MLPerf's estimate of `early_stopping_percentile`: with 99% confidence it
            is no more than that. None where the scenario has none, or too few queries ran.
        early_stopping_percentile: as a fraction; None where the scenario has none.
        throughput_qps: runs of the model a second, from the first query of a window to its last.
        rpc_ms: what RPC and network took of a call, on average; None where it is not known.
        cold_start_ms: open plus first run.
        real_time_factor: processing time / duration of the signal; None unless a stream.
        deadline_misses: runs over the deadline, in real time of waiting too; None where the recipe
            gives none.
        invalid: why the scenario's rules are not met; empty where the measurement is VALID.
        warnings: why the figures may not be trusted, each with its remedy; one for each cause.
        disturbed: whether windows were left out, which says why times are spread.
    """

    count: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    mean_ms: float
    bounds_ms: Mapping[str, tuple[float, float]]
    early_stopping_ms: float | None
    early_stopping_percentile: float | None
    throughput_qps: float | None
    rpc_ms: float | None
    cold_start_ms: float
    real_time_factor: float | None
    deadline_misses: int | None
    invalid: tuple[str, ...]
    warnings: tuple[str, ...]
    disturbed: bool


def _warnings(
    measurement: Measurement, count: int, p50_ms: float, p90_ms: float
) -> tuple[str, ...]:
    environment = measurement.environment
    found = list(_validity(measurement))
    # Where that is why times are spread, or they say nothing anyway, it is not told again.
    quiet = not _is_disturbed(measurement) and not environment.emulated
    if environment.emulated:
        found.append("emulated board: the times say nothing about a real one")
    own_data = measurement.correctness.own_data
    if own_data is not None:
        found.append(f"answers and metrics are of the data in {own_data} (--data)")
    if not measurement.settled and quiet:
        found.append(
            f"times had not settled after {plural(measurement.warmup, 'run')} of warm-up: wait "
            "until the board is idle, or give it longer (--max-time)"
        )
    if count < _FEWEST_FOR_P99:
        how = "--seconds" if measurement.scenario == "real-time" else "--runs, --preset"
        found.append(
            f"p99 of {count} samples is little more than the maximum: "
            f"measure at least {_FEWEST_FOR_P99} ({how})"
        )
    if p90_ms > 1.25 * p50_ms and measurement.scenario not in WITH_WAITING and quiet:
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
    if environment.load_average > environment.cores and quiet:
        found.append(
            f"the load was {environment.load_average:.1f} on {plural(environment.cores, 'core')} "
            "before the first run: wait until the board is idle"
        )
    return tuple(found)


def _is_disturbed(measurement: Measurement) -> bool:
    return any(reasons(window) for window in measurement.judged_windows)


def _validity(measurement: Measurement) -> tuple[str, ...]:
    """What is missing, and which windows do not count, in one sentence: the cause is one."""
    missing = [one.removeprefix(_INVALID) for one in _invalid(measurement)]
    windows = told_invalid(measurement.judged_windows)
    return (f"{_INVALID}{'; '.join([*missing, *windows])}",) if missing else windows


def _invalid(measurement: Measurement) -> tuple[str, ...]:
    """Which rules of the scenario are not met, and what is missing."""
    rule, windows = measurement.rule, measurement.judged_windows
    valid = [window for window in windows if not reasons(window)]
    if windows and not valid:
        return (f"{_INVALID}no window of the measurement is valid; measure again on a quiet board",)
    if rule is None or measurement.environment.emulated:
        return ()
    count = sum(window.count for window in valid) if windows else len(measurement.samples_ns)
    found = [*_too_few(count, rule.least_count), *_too_short(valid, rule.least_s)]
    if measurement.scenario == "server":
        found += _over_bound(measurement)
    return tuple(f"{_INVALID}{one}" for one in found)


def _too_few(count: int, least: int) -> list[str]:
    if count >= least:
        return []
    return [f"{plural(least - count, 'more valid run')} needed of {least}; measure again"]


def _too_short(valid: Sequence[Window], least_s: float) -> list[str]:
    lasted_s = sum(window.span_ns for window in valid) / 1e9
    # A window ends with its last query, a little before its time.
    if not valid or lasted_s >= 0.98 * least_s:
        return []
    return [f"valid windows last {lasted_s:.1f} s, {least_s:g} s are needed; measure again"]


def _over_bound(measurement: Measurement) -> list[str]:
    """Whether a server keeps its deadline, by early stopping."""
    bound_ms, fraction = measurement.deadline_ms, TOLD_PERCENTILES["server"]
    if bound_ms is None:
        return []
    samples = measurement.samples_ns
    over = sum(int((chunk > bound_ms * 1e6).sum()) for chunk in samples.chunks())
    if over <= most_over(len(samples), fraction):
        return []
    if over > (1 - fraction) * len(samples):
        return [f"{over} of {len(samples)} queries took over {bound_ms:g} ms; lower --qps"]
    more = least_queries(fraction, over) - len(samples)
    return [f"{plural(more, 'more run')} needed to tell that 99% are in time"]


def summarise(measurement: Measurement) -> Summary:
    """Compute the figures of a measurement, in memory that does not grow with its samples."""
    samples = valid_samples(measurement.samples_ns, measurement.judged_windows)
    if not len(samples):
        samples = measurement.samples_ns
    told = TOLD_PERCENTILES.get(measurement.scenario)
    ranks, bounds = _ranks(len(samples), told)
    at_ms = dict(zip(ranks, (one / 1e6 for one in ranked(samples, ranks)), strict=True))

    def value_ms(fraction: float) -> float:
        return at_ms[percentile_rank(len(samples), fraction)]

    mean_ms = sum(int(chunk.sum()) for chunk in samples.chunks()) / len(samples) / 1e6
    estimate = estimate_rank(len(samples), told) if told is not None else None
    chunk_ms = measurement.chunk_ms
    return Summary(
        count=len(samples),
        min_ms=at_ms[0],
        p50_ms=value_ms(0.5),
        p90_ms=value_ms(0.9),
        p99_ms=value_ms(0.99),
        p999_ms=value_ms(0.999),
        max_ms=at_ms[len(samples) - 1],
        mean_ms=mean_ms,
        bounds_ms={name: (at_ms[low], at_ms[high]) for name, (low, high) in bounds.items()},
        early_stopping_ms=None if estimate is None else at_ms[estimate],
        early_stopping_percentile=told,
        throughput_qps=_throughput(measurement),
        rpc_ms=_rpc_ms(measurement.windows),
        cold_start_ms=(measurement.open_ns + measurement.first_run_ns) / 1e6,
        real_time_factor=mean_ms / chunk_ms if chunk_ms else None,
        deadline_misses=_misses(measurement, samples),
        invalid=_invalid(measurement),
        warnings=_warnings(measurement, len(samples), value_ms(0.5), value_ms(0.9)),
        disturbed=_is_disturbed(measurement),
    )


def _ranks(count: int, told: float | None) -> tuple[list[int], dict[str, tuple[int, int]]]:
    """All places that are looked up, and the bounds among them by the percentile's name."""
    found = {name: bound_ranks(count, fraction) for name, fraction in _PERCENTILES.items()}
    bounds = {name: pair for name, pair in found.items() if pair is not None}
    places = {0, count - 1, *(rank for pair in bounds.values() for rank in pair)}
    places |= {percentile_rank(count, fraction) for fraction in _PERCENTILES.values()}
    estimate = estimate_rank(count, told) if told is not None else None
    return sorted(places | ({estimate} if estimate is not None else set())), bounds


def _misses(measurement: Measurement, samples: Samples) -> int | None:
    if measurement.real_time is not None:
        return int(Chunks(measurement.real_time).late.sum())
    deadline_ms = measurement.deadline_ms
    if not deadline_ms:
        return None
    return sum(int((chunk > deadline_ms * 1e6).sum()) for chunk in samples.chunks())


def _throughput(measurement: Measurement) -> float | None:
    windows = measurement.judged_windows
    counted = [window for window in windows if not reasons(window)] or windows
    span_ns = sum(window.span_ns for window in counted)
    runs = sum(window.count for window in counted) * measurement.runs_per_query
    told = span_ns and measurement.scenario not in _NO_THROUGHPUT
    return runs / span_ns * 1e9 if told else None


def _rpc_ms(windows: Sequence[Window]) -> float | None:
    if not windows or all(window.round_trip_ns == 0 for window in windows):
        return None
    return sum(one.round_trip_ns - one.on_board_ns for one in windows) / len(windows) / 1e6
