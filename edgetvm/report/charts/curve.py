"""Curves: a search that finds ever faster kernels, and a model's figures from day to day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgetvm.base.units import format_ms
from edgetvm.report.charts.drawing import (
    LEFT,
    RIGHT,
    drawing,
    drawn_line,
    line,
    readable,
    strokes,
    text,
    x_axis,
    y_axis,
)
from edgetvm.report.charts.scale import Scale, fitted

_TOP, _BOTTOM = 30, 190
_LOW = 100
_MOST_STEPS = 40


def descent(points: Sequence[tuple[float, float]], title: str, x_name: str, y_name: str) -> str:
    """A line of steps through the (x, y) of points, from zero, x growing; at least one point.

    Points that lie on no step of their own are left out, and some of very many.
    """
    highest, last = max(y for _, y in points), points[-1][0]
    falls = [points[0], *(now for before, now in pairwise(points) if now[1] != before[1])]
    kept = [*falls[:: -(-len(falls) // _MOST_STEPS)], falls[-1]]
    y_scale = fitted(0.0, highest, _BOTTOM, _TOP, zero=True)
    x_scale = Scale(0.0, last or 1.0, LEFT, RIGHT)
    steps = [kept[0]]
    for (_, before), (x, y) in pairwise(kept):
        steps += [(x, before), (x, y)]
    steps.append((last, kept[-1][1]))
    path = line([(x_scale(x), y_scale(y)) for x, y in steps])
    return drawing(
        _BOTTOM + 38,
        title,
        [*y_axis(y_scale, y_name), drawn_line(path), *x_axis(x_scale, _BOTTOM, x_name)],
        readable(x_scale, y_scale, x_name, y_name),
    )


@dataclass(frozen=True)
class Day:
    """A measurement in its history.

    Attributes:
        at_s: when, in seconds since 1970.
        p50_ms, p90_ms: of it.
        counts: whether it is VALID.
    """

    at_s: float
    p50_ms: float
    p90_ms: float
    counts: bool


def history(days: Sequence[Day], title: str) -> str:
    """p50 of each measurement, with a stroke up to its p90; those that are INVALID are hollow."""
    low, high = min(one.p50_ms for one in days), max(one.p90_ms for one in days)
    y = fitted(low, high, _LOW, _TOP)
    x = Scale(days[0].at_s, max(days[-1].at_s, days[0].at_s + 1.0), LEFT + 34, RIGHT - 8)
    spots = [(one.counts, x(one.at_s), y(one.p50_ms), y(one.p90_ms)) for one in days]
    good = [(at, middle) for counts, at, middle, _ in spots if counts]
    parts = [drawn_line(strokes([one[1:] for one in spots]), extra=' stroke-opacity=".4"')]
    if good:
        dots = strokes([(at, middle, middle) for at, middle in good])
        parts.append(drawn_line(dots, extra=' stroke-linecap="round"', width=14))
    bad = "".join(
        f"M{at - 4:.0f} {middle:.0f}a4 4 0 1 0 8 0a4 4 0 1 0-8 0"
        for counts, at, middle, _ in spots
        if not counts
    )
    parts.append(f'<path fill="none" stroke="currentColor" d="{bad}"/>' if bad else "")
    # Least and largest, and the days of both ends, tell as much as axes.
    parts += [
        text(0, y(high) + 4, format_ms(high)),
        text(0, max(y(low) + 4, y(high) + 20), format_ms(low)),
        text(LEFT + 34, _LOW + 24, _date(days[0].at_s)),
        text(RIGHT, _LOW + 24, _date(days[-1].at_s), ' text-anchor="end"'),
    ]
    return drawing(_LOW + 30, title, parts)


def _date(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at_s))
