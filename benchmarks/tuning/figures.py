"""What is computed of what was measured. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Item = TypeVar("Item")

KEYS = (
    "trials_per_minute_ratio",
    "board_trials_per_minute_ratio",
    "time_to_parity_ratio",
    "geomean_tuned_30min",
    "boards8_scaling",
    "kills",
    "lost_trials",
)


@dataclass(frozen=True)
class Part:
    """What a part of the benchmark found.

    Attributes:
        figures: of the result line, by key.
        raw: all that was measured, for the JSON.
        bounds: keys whose figure is a bound, with what it stands before it: `<=`.
    """

    figures: Mapping[str, float]
    raw: Mapping[str, Any]
    bounds: Mapping[str, str] = field(default_factory=dict)

    def told(self, key: str) -> str:
        """A figure as text."""
        return f"{self.bounds.get(key, '')}{self.figures[key]:.4g}"


def rate_per_minute(times_s: Sequence[float]) -> float:
    """Of events, from the first to the last; NaN of fewer than two."""
    if len(times_s) < 2:
        return math.nan
    return 60 * (len(times_s) - 1) / (times_s[-1] - times_s[0])


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """So many of them at most, at even distances, the last one in any case."""
    step = max(1, math.ceil(len(items) / most))
    return list(items[::-1][::step][::-1])


def result_line(parts: Iterable[Part]) -> str:
    """All keys in order, as `name=value`; `nan` where no part has it."""
    found = {key: one.told(key) for one in parts for key in one.figures}
    return " ".join(f"{key}={found.get(key, 'nan')}" for key in KEYS)
