"""Axes: where a value lies on the drawing, and which round values to write beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

# Past this ratio of largest to smallest, a linear axis presses most samples into one bar.
_LOG_FROM_RATIO = 20.0
_LOG_TO_RATIO = 1e15
# A nanosecond, in milliseconds: clocks tell nothing smaller.
_SMALLEST = 1e-6
_NARROWEST_SPAN = 0.02


class Axis(Protocol):
    """Where values lie.

    Attributes:
        start, end: pixels of the least and the largest value.
        told: the axis in words that a script reads: kind, least and largest value, both pixels.
    """

    @property
    def start(self) -> float: ...

    @property
    def end(self) -> float: ...

    @property
    def told(self) -> str: ...

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        ...

    def ticks(self) -> list[float]:
        """Round values inside the axis."""
        ...

    def labels(self) -> list[str]:
        """The ticks as text."""
        ...


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

    @property
    def told(self) -> str:
        """See `Axis`."""
        kind = "log" if self.log else "linear"
        return f"{kind} {self.low:.6g} {self.high:.6g} {self.start:g} {self.end:g}"

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


# Shares below it and above its counterpart are drawn at the ends.
_LEAST_SHARE = 0.01
_SHARES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


@dataclass(frozen=True)
class ShareScale:
    """Shares, 0 to 1, by the logarithm of their odds: stretched at both ends, where tails are.

    Attributes:
        most: the largest share that has a place of its own, 0.99 at least.
    """

    most: float
    start: float
    end: float

    @property
    def told(self) -> str:
        """See `Axis`."""
        return f"odds {_odds(_LEAST_SHARE):.6g} {_odds(self.most):.6g} {self.start:g} {self.end:g}"

    def __call__(self, value: float) -> float:
        """The pixel of a share; one outside lies on the nearer end."""
        low, high = _odds(_LEAST_SHARE), _odds(self.most)
        odds = _odds(min(max(value, _LEAST_SHARE), self.most))
        return self.start + (odds - low) / (high - low) * (self.end - self.start)

    def share(self, pixel: float) -> float:
        """The share that lies on a pixel."""
        low, high = _odds(_LEAST_SHARE), _odds(self.most)
        odds = low + (pixel - self.start) / (self.end - self.start) * (high - low)
        return float(1 / (1 + 10.0**-odds))

    def ticks(self) -> list[float]:
        """See `Axis`."""
        return [share for share in _SHARES if share <= self.most * (1 + 1e-9)]

    def labels(self) -> list[str]:
        """In percent."""
        return [f"{100 * share:g}" for share in self.ticks()]


def _odds(share: float) -> float:
    return math.log10(share / (1 - share))
