"""Curves: a search that finds ever faster kernels, and a model's figures from day to day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgetvm.base.units import format_ms
from edgetvm.report.charts.drawing import (
    COLOURS,
    LEFT,
    RIGHT,
    drawing,
    drawn_line,
    line,
    readable,
    text,
    x_axis,
    y_axis,
)
from edgetvm.report.charts.scale import Scale, fitted

_TOP, _BOTTOM = 30, 190


def descent(points: Sequence[tuple[float, float]], title: str, x_name: str, y_name: str) -> str:
    """A line of steps through the (x, y) of points, from zero, x growing; at least one point.

    Points that lie on no step of their own are left out.
    """
    highest, last = max(y for _, y in points), points[-1][0]
    y_scale = fitted(0.0, highest, _BOTTOM, _TOP, zero=True)
    x_scale = Scale(0.0, last or 1.0, LEFT, RIGHT)
    steps = [points[0]]
    for (_, before), (x, y) in pairwise(points):
        if y != before:
            steps += [(x, before), (x, y)]
    steps.append((last, points[-1][1]))
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
        told: in words.
    """

    at_s: float
    p50_ms: float
    p90_ms: float
    counts: bool
    told: str


def history(days: Sequence[Day], title: str) -> str:
    """p50 of each measurement, with a stroke up to its p90; those that are INVALID are hollow."""
    first_s, last_s = days[0].at_s, days[-1].at_s
    highest = max(one.p90_ms for one in days)
    y = fitted(min(one.p50_ms for one in days), highest, _BOTTOM, _TOP)
    x = Scale(first_s, max(last_s, first_s + 1.0), LEFT + 8, RIGHT - 8)
    counted = [(x(one.at_s), y(one.p50_ms)) for one in days if one.counts]
    parts = y_axis(y, "ms, logarithmic" if y.log else "ms")
    parts += [drawn_line(line(counted), extra=' stroke-opacity=".5"')] if counted else []
    parts += [_day(one, x, y) for one in days]
    parts += [
        f'<path class="axis" stroke="currentColor" stroke-opacity=".5" d="M{LEFT} {_BOTTOM}'
        f'H{RIGHT}"/>',
        text(LEFT, _BOTTOM + 17, _date(first_s)),
        text(RIGHT, _BOTTOM + 17, _date(last_s), ' text-anchor="end"'),
    ]
    return drawing(_BOTTOM + 24, title, parts)


def _day(one: Day, x: Scale, y: Scale) -> str:
    at, middle = x(one.at_s), y(one.p50_ms)
    hollow = "" if one.counts else ' fill-opacity="0"'
    told = f"{_date(one.at_s)}: {format_ms(one.p50_ms)}, {one.told}"
    return (
        f'<g class="c0" fill="{COLOURS[0]}" stroke="{COLOURS[0]}">'
        f'<path stroke-opacity=".4" d="M{at:.1f} {middle:.1f}V{y(one.p90_ms):.1f}"/>'
        f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="4"{hollow}><title>{told}</title></circle></g>'
    )


def _date(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at_s))
