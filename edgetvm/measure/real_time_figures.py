"""The figures of streams in real time: latency, deadlines, backlog, and how good the clock was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.units import format_ms
from edgetvm.measure.real_time import Chunks, RealTime
from edgetvm.measure.statistics import percentile

# A clock that wakes the board later than this says nothing about the model.
_LATE_SHARE = 0.05  # of a period
_LEAST_LATE_MS = 0.2
_MOST_LATE = 0.001  # of the chunks that the board waited for
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Of times, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class RealTimeFigures:
    """The figures of a run in real time.

    Attributes:
        chunks: that arrived, of all streams.
        answered: of them.
        dropped: left out by the policy `skip`.
        unanswered: that could not begin before the run's end.
        latency: from a chunk's arrival to its result, waiting included; None without answers.
        service: from its begin to its result; None likewise.
        compute_s: of all chunks together.
        signal_s: that the answered chunks hold.
        misses: answered after the deadline, and unanswered.
        miss_low_pct, miss_high_pct: 95 % confidence interval of the share of misses.
        longest_misses: in a row, of one stream.
        jitter_ms: 99th percentile of how far the time from result to result of a stream lies from
            the period.
        backlog: most chunks of one stream that had arrived and had no result.
        wake_p99_ms, wake_max_ms: how late the board woke for chunks that it waited for; None where
            it waited for none.
        words: that the signal holds, where its labels tell.
        found: of them.
        from_start, from_end: from a found word's start, or end, to the result that tells of it;
            below zero where it comes before the end. None without any.
        over: from a word's end to the result that tells that it is over; likewise.
        invalid: why the run does not count; empty where it does.
    """

    chunks: int
    answered: int
    dropped: int
    unanswered: int
    latency: Spread | None
    service: Spread | None
    compute_s: float
    signal_s: float
    misses: int
    miss_low_pct: float
    miss_high_pct: float
    longest_misses: int
    jitter_ms: float | None
    backlog: int
    wake_p99_ms: float | None
    wake_max_ms: float | None
    words: int
    found: int
    from_start: Spread | None
    from_end: Spread | None
    over: Spread | None
    invalid: tuple[str, ...]

    @property
    def real_time_factor(self) -> float | None:
        """Time of computing by duration of the signal; None without answers."""
        return self.compute_s / self.signal_s if self.signal_s else None

    @property
    def miss_pct(self) -> float:
        """Of the chunks that were not dropped."""
        counted = self.chunks - self.dropped
        return 100 * self.misses / counted if counted else 0.0

    @property
    def keeps_up(self) -> bool:
        """Whether every chunk that arrived was answered in time, or left out by its policy."""
        return self.answered > 0 and self.misses == 0


def figures_of(run: RealTime) -> RealTimeFigures:
    """The figures of a run. Deadlines and percentiles are of all streams together."""
    chunks = Chunks(run)
    ran, total = chunks.ran, chunks.ran.size
    answered = int(ran.sum())
    missing = total - answered
    dropped = _dropped(run, chunks)
    misses = int(chunks.late.sum())
    low, high = binomial_interval(misses, total - dropped)
    service = (chunks.ended - chunks.began)[ran]
    waited = chunks.latency[ran]
    wakes = np.sort(chunks.wakes).tolist()
    return RealTimeFigures(
        chunks=total,
        answered=answered,
        dropped=dropped,
        unanswered=missing - dropped,
        latency=_spread(waited),
        service=_spread(service),
        compute_s=float(service.sum()) / 1e3,
        signal_s=answered * run.period_ms / 1e3,
        misses=misses,
        miss_low_pct=100 * low,
        miss_high_pct=100 * high,
        longest_misses=max(
            # A frame that was left out does not end a row of late ones.
            _longest(late[ran | late])
            for late, ran in zip(chunks.late.T, chunks.ran.T, strict=True)
        ),
        jitter_ms=_jitter_ms(run, chunks),
        backlog=int(np.ceil(waited / run.period_ms).max(initial=0)),
        wake_p99_ms=percentile(wakes, 0.99) if wakes else None,
        wake_max_ms=wakes[-1] if wakes else None,
        words=len(run.words),
        found=sum(word.found_ms is not None for word in run.words),
        from_start=_spread(_delays((one.found_ms, one.start_ms) for one in run.words)),
        from_end=_spread(_delays((one.found_ms, one.end_ms) for one in run.words)),
        over=_spread(_delays((one.over_ms, one.end_ms) for one in run.words)),
        invalid=_invalid(run, chunks, answered),
    )


def _dropped(run: RealTime, chunks: Chunks) -> int:
    """Chunks that did not run although a later one of their stream did."""
    if run.policy == "queue":
        return 0
    later = np.logical_or.accumulate(chunks.ran[::-1], axis=0)[::-1]
    return int((later & ~chunks.ran).sum())


def _spread(times: NDArray[np.float64]) -> Spread | None:
    ordered = np.sort(times).tolist()
    if not ordered:
        return None
    p50_ms, p90_ms, p99_ms = (percentile(ordered, part) for part in (0.5, 0.9, 0.99))
    return Spread(p50_ms, p90_ms, p99_ms, ordered[-1])


def _delays(pairs: Iterable[tuple[float | None, float]]) -> NDArray[np.float64]:
    return np.asarray([told - since for told, since in pairs if told is not None])


def _longest(late: NDArray[np.bool_]) -> int:
    """The longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], late, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _jitter_ms(run: RealTime, chunks: Chunks) -> float | None:
    steps = np.abs(np.diff(chunks.ended, axis=0) - run.period_ms)
    both = chunks.ran[1:] & chunks.ran[:-1]
    ordered = np.sort(steps[both]).tolist()
    return percentile(ordered, 0.99) if ordered else None


def _invalid(run: RealTime, chunks: Chunks, answered: int) -> tuple[str, ...]:
    found = []
    if not answered:
        found.append("no chunk was answered")
    most_ms = max(_LEAST_LATE_MS, _LATE_SHARE * run.period_ms)
    late = int((chunks.wakes > most_ms).sum())
    if late > _MOST_LATE * len(chunks.wakes):
        found.append(
            f"the clock that feeds it was late: {late} of {len(chunks.wakes)} chunks that the "
            f"board waited for began more than {format_ms(most_ms)} after they arrived; close what "
            "else runs there and measure again"
        )
    if run.carried is False:
        found.append(
            "its answers are not those of the same chunks without a clock: the state is not carried"
        )
    return tuple(found)


def binomial_interval(events: int, count: int) -> tuple[float, float]:
    """95 % confidence interval of a probability, from how often something happened.

    Source: Clopper and Pearson, Biometrika 26 (1934): exact, by quantiles of the beta distribution.
    """
    from scipy.stats import beta

    if count == 0:
        return 0.0, 1.0
    tail = (1 - _CONFIDENCE) / 2
    low = float(beta.ppf(tail, events, count - events + 1)) if events else 0.0
    high = float(beta.ppf(1 - tail, events + 1, count - events)) if events < count else 1.0
    return low, high
