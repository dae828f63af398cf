"""Axes: where a value lies on the drawing, and which round values to write beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Past this ratio of largest to smallest, a linear axis presses most samples into one bar.
_LOG_FROM_RATIO = 20.0
_LOG_TO_RATIO = 1e15
# A nanosecond, in milliseconds: clocks tell nothing smaller.
_SMALLEST = 1e-6
_NARROWEST_SPAN = 0.02


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` laid on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of `value`; a value outside lies on the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Between two and nine round values inside the axis."""
        return self._log_ticks() if self.log else self._linear_ticks()

    def labels(self) -> list[str]:
        """The ticks as text, with no more digits than tell them apart."""
        ticks = self.ticks()
        if self.log:
            digits = [_digits(tick) for tick in ticks]
        else:
            digits = [_digits(_round_step((self.high - self.low) / 5))] * len(ticks)
        return [
            f"{tick:,.{count}f}".replace(",", " ")
            for tick, count in zip(ticks, digits, strict=True)
        ]

    def _linear_ticks(self) -> list[float]:
        step = _round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]

    def _log_ticks(self) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        leaders = (1, 2, 5) if last - first <= 2 else (1,)
        powers = range(first, last + 1, max(1, math.ceil((last - first) / 8)))
        ticks = [leader * 10.0**power for power in powers for leader in leaders]
        return [tick for tick in ticks if self.low <= tick <= self.high]


def _digits(value: float) -> int:
    """Decimals that show the first digit of `value`."""
    return max(0, -math.floor(math.log10(value) + 1e-9))


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(leader * power for leader in (1, 2, 5, 10) if leader * power >= step * 0.999)


def fitted(low: float, high: float, start: float, end: float, *, zero: bool = False) -> Scale:
    """An axis for values from `low` to `high`: logarithmic where they lie far apart.

    Args:
        zero: let a linear axis begin at zero, so that lengths may be compared.
    """
    if low >= _SMALLEST and _LOG_FROM_RATIO < high / low < _LOG_TO_RATIO:
        return Scale(low / 1.1, high * 1.1, start, end, log=True)
    if high < _SMALLEST:
        return Scale(0.0, 1.0, start, end)
    if zero:
        return Scale(0.0, high * 1.05, start, end)
    margin = max((high - low) * 0.02, high * _NARROWEST_SPAN)
    return Scale(max(0.0, low - margin), high + margin, start, end)
