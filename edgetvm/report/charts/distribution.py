"""How samples are distributed: which share of them took no longer than so long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_ms
from edgetvm.report.charts.drawing import (
    LEFT,
    RIGHT,
    drawing,
    drawn_line,
    line,
    readable,
    text,
    width_of,
    x_axis,
    y_axis,
)
from edgetvm.report.charts.scale import Axis, ShareScale, fitted

_TOP, _BOTTOM = 30, 210
MOST_POINTS = 100


@dataclass(frozen=True)
class Percentile:
    """One mark on the curve.

    Attributes:
        share: below it, 0 to 1.
        value_ms: the percentile.
        bounds_ms: that it lies between with a confidence of 95%; None where they are not known.
        at_most_ms: by early stopping; None where that was not asked, or could not be told.
    """

    share: float
    value_ms: float
    bounds_ms: tuple[float, float] | None = None
    at_most_ms: float | None = None

    @property
    def told(self) -> str:
        """`p90 4.33 ms (≤ 4.51 ms)`."""
        most = "" if self.at_most_ms is None else f" (≤ {format_ms(self.at_most_ms)})"
        return f"p{100 * self.share:g} {format_ms(self.value_ms)}{most}"


def distribution(
    samples_ms: Sequence[float],
    percentiles: Sequence[Percentile],
    title: str,
    run: str = "run",
    most_points: int = MOST_POINTS,
) -> str:
    """The cumulated distribution of samples, with a mark and a label at each percentile.

    So many points lie on the curve at most, evenly spaced on the axis of shares: each is a sample.
    """
    ordered = sorted(samples_ms)
    highest = max([ordered[-1], *(one.at_most_ms or 0.0 for one in percentiles)])
    x = fitted(ordered[0], highest, LEFT, RIGHT)
    y = ShareScale(max(0.99, 1 - 0.5 / len(ordered)), _BOTTOM, _TOP)
    path = line([(x(value), y(share)) for share, value in _thinned(ordered, y, most_points)])
    parts = y_axis(y, f"% of the {run}s took no longer")
    parts.append(drawn_line(path))
    parts.append(_marks(percentiles, x, y))
    parts += [_label(one, x, y) for one in percentiles]
    unit = "ms, logarithmic" if x.log else "ms"
    parts += x_axis(x, _BOTTOM, unit)
    return drawing(_BOTTOM + 38, title, parts, readable(x, y, "ms", "%"))


def _thinned(ordered: Sequence[float], y: ShareScale, most: int) -> list[tuple[float, float]]:
    """Shares and the samples that lie there; the middle of its step for each."""
    count = len(ordered)
    if count <= most:
        places = list(range(count))
    else:
        steps = (y.share(y.start + at / (most - 1) * (y.end - y.start)) for at in range(most))
        places = sorted({0, count - 1, *(min(count - 1, int(share * count)) for share in steps)})
    return [((place + 0.5) / count, ordered[place]) for place in places]


def _marks(percentiles: Sequence[Percentile], x: Axis, y: Axis) -> str:
    """A dot for each, a bar for its bounds, a diamond for what it is at most."""
    dots, bounds, most = [], [], []
    for one in percentiles:
        at_y = y(one.share)
        dots.append(f'<circle cx="{x(one.value_ms):.1f}" cy="{at_y:.1f}" r="3.5"/>')
        if one.bounds_ms is not None:
            low, high = map(x, one.bounds_ms)
            bounds.append(f"M{low:.1f} {at_y - 4:.1f}v8m0-4H{high:.1f}m0-4v8")
        if one.at_most_ms is not None:
            most.append(f"M{x(one.at_most_ms):.1f} {at_y - 5:.1f}l4 5-4 5-4-5z")
    drawn = f'<path d="{"".join(most)}"/>' if most else ""
    drawn += f'<path fill="none" stroke="currentColor" d="{"".join(bounds)}"/>' if bounds else ""
    return f'<g class="ink">{"".join(dots)}{drawn}</g>'


def _label(one: Percentile, x: Axis, y: Axis) -> str:
    """The curve rises to the right: below it on the right, and above it on the left, is room."""
    at_x, at_y = x(one.value_ms), y(one.share)
    if at_x + 10 + width_of(one.told) < RIGHT:
        return text(at_x + 10, at_y + 16, one.told)
    return text(at_x - 10, at_y - 6, one.told, ' text-anchor="end"')


def percentiles_of(
    values_ms: Mapping[float, float],
    bounds_ms: Mapping[str, tuple[float, float]],
    at_most: tuple[float, float] | None,
) -> list[Percentile]:
    """The marks of a summary.

    Args:
        values_ms: by share.
        bounds_ms: by the percentile's name, `p50`.
        at_most: share and value of an early-stopping estimate.
    """
    return [
        Percentile(
            share,
            value_ms,
            bounds_ms.get(f"p{100 * share:g}"),
            at_most[1] if at_most is not None and math.isclose(share, at_most[0]) else None,
        )
        for share, value_ms in values_ms.items()
    ]
