"""Samples in the order taken, and how the board was meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgetvm.base.units import format_ms
from edgetvm.report.charts.drawing import (
    COLOURS,
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
from edgetvm.report.charts.scale import Axis, Scale, fitted

# About one mark for every two pixels: more would not be seen, and make the page large.
MOST_MARKS = 300
_FAR_DEADLINE = 4.0
_TOP, _BOTTOM, _STRIP = 30, 190, 46


@dataclass(frozen=True)
class Strip:
    """Something of the board under the samples.

    Attributes:
        name: what it is, with its unit.
        points: place on the axis of the samples, lowest and highest value there.
    """

    name: str
    points: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Course:
    """Samples with their places.

    Attributes:
        places: of each sample: seconds, or its number.
        samples_ms: in the order taken.
        axis: what places are, in words.
        unit: of a place.
        invalid: stretches of places whose samples do not count.
        strips: of the board.
    """

    places: Sequence[float]
    samples_ms: Sequence[float]
    axis: str
    unit: str
    invalid: Sequence[tuple[float, float]] = ()
    strips: Sequence[Strip] = ()


def samples_per_mark(count: int, most_marks: int = MOST_MARKS) -> int:
    """How many consecutive samples `over_time` puts into one mark."""
    return math.ceil(count / most_marks)


def over_time(
    course: Course, deadline_ms: float | None, title: str, most_marks: int = MOST_MARKS
) -> str:
    """The samples in the order taken: dots, or beyond `most_marks` the span of neighbours."""
    low, high = min(course.samples_ms), max(course.samples_ms)
    deadline_ms = deadline_ms if deadline_ms and math.isfinite(deadline_ms) else None
    near = deadline_ms is not None and 0 < deadline_ms <= _FAR_DEADLINE * high
    if deadline_ms is not None and near:
        low, high = min(low, deadline_ms), max(high, deadline_ms)
    y = fitted(low, high, _BOTTOM, _TOP, zero=True)
    ends = [course.places[-1], *(strip.points[-1][0] for strip in course.strips if strip.points)]
    x = Scale(0.0, max(ends) or 1.0, LEFT, RIGHT)
    parts = [_washed(course.invalid, x, _BOTTOM - _TOP)]
    parts += y_axis(y, "ms, logarithmic" if y.log else "ms")
    parts += _marks(course, x, y, most_marks)
    if deadline_ms is not None:
        parts.append(_deadline(deadline_ms, y, near))
    bottom = _BOTTOM
    for strip in course.strips:
        parts += _strip(strip, x, bottom + 24)
        bottom += 24 + _STRIP
    parts += x_axis(x, bottom, course.axis)
    return drawing(bottom + 38, title, parts, readable(x, y, course.unit, "ms"))


def _washed(spans: Sequence[tuple[float, float]], x: Axis, height: float) -> str:
    boxes = "".join(
        f"M{x(begin):.1f} {_TOP}h{max(1.0, x(end) - x(begin)):.1f}v{height}"
        f"h-{max(1.0, x(end) - x(begin)):.1f}z"
        for begin, end in spans
    )
    colour = 'fill="#c4661f" fill-opacity=".18"'
    return f'<path class="invalid" {colour} d="{boxes}"/>' if boxes else ""


def _marks(course: Course, x: Axis, y: Axis, most: int) -> list[str]:
    samples_ms = course.samples_ms
    each = samples_per_mark(len(samples_ms), most)
    groups = [samples_ms[at : at + each] for at in range(0, len(samples_ms), each)]
    middles = range(each // 2, len(samples_ms) + each, each)
    xs = [x(course.places[min(at, len(samples_ms) - 1)]) for at in middles]
    spans = strokes(
        (at, y(max(group)), y(min(group))) for at, group in zip(xs, groups, strict=False)
    )
    width, faint = (3, ' stroke-opacity=".35"') if each > 1 else (6, "")
    parts = [
        f'<path class="stroke" fill="none" stroke="{COLOURS[0]}" stroke-width="{width}" '
        f'stroke-linecap="round"{faint} transform="scale(.5)" d="{spans}"/>'
    ]
    if each > 1:
        path = line([(at, y(median(one))) for at, one in zip(xs, groups, strict=False)])
        parts.append(drawn_line(path))
    return parts


def _deadline(deadline_ms: float, y: Scale, near: bool) -> str:
    at_y = y(deadline_ms) if near else _TOP - 14
    note = "deadline " + format_ms(deadline_ms) + ("" if near else " ↑ above this drawing")
    drawn = (
        f'<path class="deadline" stroke="#c23a30" stroke-dasharray="6 4" '
        f'd="M{LEFT} {at_y:.1f}H{RIGHT}"/>'
        if near
        else ""
    )
    return drawn + text(RIGHT, at_y - 5, note, ' text-anchor="end" class="late" fill="#c23a30"')


def _strip(strip: Strip, x: Axis, top: float) -> list[str]:
    """A small panel of its own: a band from lowest to highest, its range in words."""
    low = min(one for _, one, _ in strip.points)
    high = max(one for *_, one in strip.points)
    margin = max((high - low) * 0.15, abs(high) * 0.01, 1e-9)
    y = Scale(low - margin, high + margin, top + _STRIP, top)
    upper = [(x(at), y(most)) for at, _, most in strip.points]
    lower = [(x(at), y(least)) for at, least, _ in reversed(strip.points)]
    is_line = all(least == most for _, least, most in strip.points)
    path = line(upper) if is_line else line([*upper, *lower]) + "z"
    fill = "none" if is_line else COLOURS[1]
    told = f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"
    return [
        f'<path stroke="currentColor" stroke-opacity=".15" '
        f'd="M{LEFT} {top}H{RIGHT}M{LEFT} {top + _STRIP}H{RIGHT}"/>',
        f'<path class="strip" fill="{fill}" stroke="{COLOURS[1]}" fill-opacity=".25" '
        f'stroke-width="3" transform="scale(.5)" d="{path}"/>',
        text(0, top - 7, f"{strip.name}: {told}", ""),
    ]
