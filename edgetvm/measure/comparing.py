"""Whether one measured thing is slower than another: of medians of fresh processes, in turns.

Runs within a process agree better than processes do, so a sample here is a process's median. A
verdict needs three things: the interval of the ratio of medians lies beyond the threshold, the
rank test says so too, and a second run of both confirms it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Verdict = Literal["pass", "regression", "inconclusive"]

CONFIDENCE = 0.95
RESAMPLES = 10_000
ALPHA = 0.01
# Fewer cannot reach ALPHA: of five and five the rank test's least p is 2 of 252.
LEAST_PROCESSES = 5


@dataclass(frozen=True)
class Comparison:
    """The second thing beside the first.

    Attributes:
        first_ms, second_ms: median of each one's processes.
        ratio: second / first: over 1 where the second is slower.
        low, high: bounds of the ratio, with a confidence of 95%.
        p: of the rank test: how likely ranks so far apart are by chance.
        processes: the fewer of both.
    """

    first_ms: float
    second_ms: float
    ratio: float
    low: float
    high: float
    p: float
    processes: int


def compare(first_ms: Sequence[float], second_ms: Sequence[float], seed: int = 0) -> Comparison:
    """Compare the medians of processes.

    The interval is the bootstrap's, by percentiles, of the ratio of medians; where two processes
    are each other's neighbours in time, nothing is made of that.

    Args:
        first_ms, second_ms: median latency of each process; at least two of each.
        seed: of the resampling: the same answer for the same data.

    Raises:
        ValueError: fewer than two processes, or a latency that is not above zero.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Mann and
    Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the
    Other, 1947.
    """
    from scipy.stats import mannwhitneyu

    first, second = np.asarray(first_ms, np.float64), np.asarray(second_ms, np.float64)
    if min(len(first), len(second)) < 2 or min(first.min(), second.min()) <= 0:
        raise ValueError("at least two processes of each, with latencies above zero")
    random = np.random.default_rng(seed)
    medians = [
        np.median(random.choice(one, (RESAMPLES, len(one))), axis=1) for one in (first, second)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians[1] / medians[0], [tail, 1 - tail])
    return Comparison(
        first_ms=float(np.median(first)),
        second_ms=float(np.median(second)),
        ratio=float(np.median(second) / np.median(first)),
        low=float(low),
        high=float(high),
        p=float(mannwhitneyu(first, second, alternative="two-sided").pvalue),
        processes=min(len(first), len(second)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """The p of each of many tests, so that one wrong alarm among all of them is as rare as in one.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def verdict(comparison: Comparison, p: float, max_regression: float) -> Verdict:
    """What one comparison says.

    Args:
        comparison: of what is judged with its baseline.
        p: the comparison's own, or adjusted for many.
        max_regression: share by which it may be slower: 0.03 for 3%.
    """
    limit = 1 + max_regression
    if comparison.low > limit and p < ALPHA and comparison.processes >= LEAST_PROCESSES:
        return "regression"
    return "pass" if comparison.high <= limit else "inconclusive"


def confirmed(first: Verdict, second: Verdict) -> Verdict:
    """What two runs of the same comparison say together: an alarm counts only twice."""
    if first == second:
        return first
    return "inconclusive" if "regression" in (first, second) else "pass"
