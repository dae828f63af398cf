"""What is computed from samples. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from edgetvm.measure.statistics import percentile


@dataclass(frozen=True)
class Latency:
    """Of one engine on one model, milliseconds."""

    count: int
    median_ms: float
    p90_ms: float
    min_ms: float


def latency(samples_ns: Sequence[int]) -> Latency:
    """The figures of samples, of which there is at least one."""
    ordered = sorted(sample / 1e6 for sample in samples_ns)
    return Latency(len(ordered), median(ordered), percentile(ordered, 0.9), ordered[0])


def geometric_mean(ratios: Iterable[float]) -> float:
    """NaN of nothing; infinite if one is."""
    known = list(ratios)
    if not known:
        return math.nan
    return math.exp(sum(math.log(ratio) for ratio in known) / len(known))


def worst(ratios: Iterable[float]) -> float:
    """The largest, or NaN of nothing."""
    return max(ratios, default=math.nan)
