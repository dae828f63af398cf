"""MLPerf's early stopping: what a percentile is at most, told with confidence after few runs.

Source: mlcommons/inference, loadgen/early_stopping.cc and results.cc, and the appendix of its
rules. Of n queries, t may be over a bound while the percentile p of all that could be run is under
it, with confidence c, if the chance of t or fewer so slow ones among n is at most 1 - c where they
are the share 1 - p of all:

    I_p(n - t, t + 1) <= 1 - c        I: the regularised incomplete beta function

The estimate is the largest bound of that kind that was measured: with the largest such t, the t-th
slowest query.
"""

from __future__ import annotations

from collections.abc import Callable

CONFIDENCE = 0.99


def least_queries(percentile: float, over: int = 1, confidence: float = CONFIDENCE) -> int:
    """How many queries are needed where `over` of them are over the bound.

    Args:
        percentile: as a fraction: 0.9.
        over: 1 for an estimate of a percentile.
    """
    return _first(lambda count: _passes(count, over, percentile, confidence), over)


def most_over(count: int, percentile: float, confidence: float = CONFIDENCE) -> int:
    """The most queries of `count` that may be over the bound; -1 where none may, nor enough ran."""
    return _first(lambda over: not _passes(count, over, percentile, confidence), 0, count + 1) - 1


def estimate_rank(count: int, percentile: float, confidence: float = CONFIDENCE) -> int | None:
    """Where the estimate stands among `count` sorted latencies; None where they are too few."""
    over = most_over(count, percentile, confidence)
    return count - over if over >= 1 else None


def _passes(count: int, over: int, percentile: float, confidence: float) -> bool:
    from scipy.special import betainc

    if count <= over:
        return False
    return bool(betainc(count - over, over + 1, percentile) <= 1 - confidence)


def _first(holds: Callable[[int], bool], low: int, high: int | None = None) -> int:
    """The first number from `low` on for which something holds that holds for all after it.

    Args:
        high: it holds there, for sure; without it, it holds somewhere.
    """
    if high is None:
        high = max(low, 1)
        while not holds(high):
            high *= 2
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
