"""Drawings as SVG text. Pure functions: the same figures give the same drawing.

Colours stand as attributes, so that a drawing can be taken out of its page; the page's style
sheet overrules them by class, for dark screens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from statistics import median

from edgetvm.base.units import format_duration, format_ms
from edgetvm.report.scale import Scale, fitted
from edgetvm.report.words import shown

WIDTH = 560
_LEFT, _RIGHT = 52, WIDTH - 24
_MOST_BARS = 40
# About one mark for every two pixels: more would not be seen, and make the page large.
MOST_DOTS = 300
_FAR_DEADLINE = 4.0


def _drawing(height: float, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height:g}" '
        f'font-family="system-ui,sans-serif" font-size="13" fill="#3d4450">'
        f"<title>{escape(shown(title, 1000))}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, extra: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}"{extra}>{escape(text)}</text>'


def _fine_path(points: Iterable[tuple[float, float, float]]) -> str:
    """A vertical stroke from (x, y) to (x, y2) for each point.

    In relative half pixels, which takes a third of the room that decimals would.
    """
    commands = []
    at_x = at_y = 0
    for x, y, y2 in points:
        new_x, new_y, end_y = round(2 * x), round(2 * y), round(2 * y2)
        commands.append(f"m{new_x - at_x} {new_y - at_y}v{end_y - new_y}")
        at_x, at_y = new_x, end_y
    return "".join(commands).replace(" -", "-")


def _fine_line(points: Sequence[tuple[float, float]]) -> str:
    fine = [(round(2 * x), round(2 * y)) for x, y in points]
    moves = [f"M{fine[0][0]} {fine[0][1]}l"]
    moves += [f"{x - past_x} {y - past_y}" for (past_x, past_y), (x, y) in pairwise(fine)]
    return " ".join(moves).replace("l ", "l").replace(" -", "-")


def _x_axis(scale: Scale, y: float, name: str) -> list[str]:
    ticks = scale.ticks()
    marks = "".join(f"M{scale(tick):.1f} {y}v4" for tick in ticks)
    labels = (
        _text(scale(tick), y + 17, label) for tick, label in zip(ticks, scale.labels(), strict=True)
    )
    return [
        f'<path class="axis" stroke="#9aa3b0" d="M{_LEFT} {y}H{_RIGHT}{marks}"/>',
        f'<g text-anchor="middle">{"".join(labels)}</g>',
        _text(_RIGHT, y + 35, name, ' text-anchor="end" class="soft"'),
    ]


def _y_axis(scale: Scale, name: str) -> list[str]:
    ticks = scale.ticks()
    lines = "".join(f"M{_LEFT} {scale(tick):.1f}H{_RIGHT}" for tick in ticks)
    labels = (
        _text(_LEFT - 6, scale(tick) + 4, label)
        for tick, label in zip(ticks, scale.labels(), strict=True)
    )
    return [
        f'<path class="grid" stroke="#e3e7ec" d="{lines}"/>',
        f'<g text-anchor="end">{"".join(labels)}</g>',
        _text(0, min(scale.start, scale.end) - 10, name, ' class="soft"'),
    ]


def histogram(
    samples_ms: Sequence[float], marks: Mapping[str, float], title: str, run: str = "run"
) -> str:
    """How many samples took how long, with a labelled line at each of `marks`."""
    top, bottom = 22 + 17 * len(marks), 200
    x_scale = fitted(min(samples_ms), max(samples_ms), _LEFT, _RIGHT)
    bars = max(8, min(_MOST_BARS, math.ceil(math.sqrt(len(samples_ms)))))
    width = (_RIGHT - _LEFT) / bars
    counts = [0] * bars
    for sample in samples_ms:
        counts[min(bars - 1, int((x_scale(sample) - _LEFT) / width))] += 1
    y_scale = Scale(0.0, max(5, *counts), bottom, top)
    outline = "".join(
        f"M{_LEFT + index * width + 0.5:.1f} {bottom}"
        f"V{min(y_scale(count), bottom - 2):.0f}h{width - 1:.1f}V{bottom}"
        for index, count in enumerate(counts)
        if count
    )
    parts = _y_axis(y_scale, f"{run}s")
    parts.append(f'<path class="data" fill="#2f6db5" d="{outline}"/>')
    for index, (name, value_ms) in enumerate(marks.items()):
        x, y = x_scale(value_ms), 12 + 17 * index
        side, anchor = (-4, "end") if x > WIDTH * 0.7 else (4, "start")
        parts.append(f'<path class="mark" stroke="#1b1f27" d="M{x:.1f} {y - 10}V{bottom}"/>')
        parts.append(
            _text(x + side, y, f"{name} {format_ms(value_ms)}", f' text-anchor="{anchor}"')
        )
    axis = "ms, logarithmic" if x_scale.log else "ms"
    return _drawing(bottom + 38, title, parts + _x_axis(x_scale, bottom, axis))


def runs_per_mark(count: int, most_dots: int = MOST_DOTS) -> int:
    """How many consecutive samples `sample_plot` puts into one mark."""
    return math.ceil(count / most_dots)


def sample_plot(
    samples_ms: Sequence[float],
    deadline_ms: float | None,
    title: str,
    run: str = "run",
    most_dots: int = MOST_DOTS,
) -> str:
    """The samples in the order taken: dots, or beyond `most_dots` the span of neighbours."""
    top, bottom = 30, 190
    low, high = min(samples_ms), max(samples_ms)
    deadline_ms = deadline_ms if deadline_ms and math.isfinite(deadline_ms) else None
    near = deadline_ms is not None and 0 < deadline_ms <= _FAR_DEADLINE * high
    if deadline_ms is not None and near:
        low, high = min(low, deadline_ms), max(high, deadline_ms)
    y_scale = fitted(low, high, bottom, top, zero=True)
    x_scale = Scale(0.0, float(len(samples_ms)), _LEFT, _RIGHT)
    parts = _y_axis(y_scale, "ms, logarithmic" if y_scale.log else "ms")
    each = runs_per_mark(len(samples_ms), most_dots)
    groups = [samples_ms[at : at + each] for at in range(0, len(samples_ms), each)]
    xs = [x_scale(index * each + len(group) / 2) for index, group in enumerate(groups)]
    spans = _fine_path(
        (x, y_scale(max(group)), y_scale(min(group))) for x, group in zip(xs, groups, strict=True)
    )
    faint = ' stroke-opacity=".35"' if each > 1 else ""
    parts.append(
        f'<path class="stroke" fill="none" stroke="#2f6db5" stroke-width="{3 if each > 1 else 6}" '
        f'stroke-linecap="round"{faint} transform="scale(.5)" d="{spans}"/>'
    )
    if each > 1:
        line = _fine_line([(x, y_scale(median(g))) for x, g in zip(xs, groups, strict=True)])
        parts.append(
            f'<path class="stroke" fill="none" stroke="#2f6db5" stroke-width="3" '
            f'transform="scale(.5)" d="{line}"/>'
        )
    if deadline_ms is not None:
        y = y_scale(deadline_ms) if near else top - 14
        note = "deadline " + format_ms(deadline_ms) + ("" if near else " ↑ above this drawing")
        if near:
            parts.append(
                f'<path class="deadline" stroke="#b3261e" stroke-dasharray="6 4" '
                f'd="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
            )
        parts.append(_text(_RIGHT, y - 5, note, ' text-anchor="end" class="late" fill="#b3261e"'))
    return _drawing(
        bottom + 38, title, parts + _x_axis(x_scale, bottom, f"{run}, in the order taken")
    )


def bars(rows: Sequence[tuple[str, float, str]], title: str, label_width: int = 120) -> str:
    """A bar for each (label, value, text), all from zero. The title tells the values too."""
    values = [value if math.isfinite(value) and value > 0 else 0.0 for _, value, _ in rows]
    longest = max(values, default=0.0) or 1.0
    room = WIDTH - label_width - 100
    parts, labels = [], []
    for index, ((label, _, text), value) in enumerate(zip(rows, values, strict=True)):
        y = 24 * index
        length = max(1.0, value / longest * room)
        parts.append(f"M{label_width} {y + 4}h{length:.1f}v14H{label_width}")
        labels.append(_text(0, y + 15, shown(label, label_width // 7)))
        labels.append(_text(label_width + length + 8, y + 15, shown(text, 22)))
    told = "; ".join(f"{shown(label)} {shown(text)}" for label, _, text in rows)
    drawn = [f'<path class="data" fill="#2f6db5" d="{"".join(parts)}"/>', *labels]
    return _drawing(max(24, 24 * len(rows)), f"{title}: {told}", drawn)


def timeline(steps: Sequence[tuple[str, float]], title: str) -> str:
    """A bar for each (step, seconds), in the order done.

    Bars begin at zero and not one after the other: the record does not tell which steps overlap.
    """
    return bars([(name, spent, format_duration(spent)) for name, spent in steps], title, 220)


def descent(points: Sequence[tuple[float, float]], title: str, x_name: str, y_name: str) -> str:
    """A line of steps through the (x, y) of points, from zero, x growing; at least one point.

    Points that lie on no step of their own are left out.
    """
    top, bottom = 30, 190
    highest, last = max(y for _, y in points), points[-1][0]
    y_scale = fitted(0.0, highest, bottom, top, zero=True)
    x_scale = Scale(0.0, last or 1.0, _LEFT, _RIGHT)
    commands = [f"M{x_scale(points[0][0]):.1f} {y_scale(points[0][1]):.1f}"]
    for (_, before), (x, y) in pairwise(points):
        if y != before:
            commands.append(f"H{x_scale(x):.1f}V{y_scale(y):.1f}")
    line = "".join([*commands, f"H{x_scale(last):.1f}"])
    drawn = f'<path class="stroke" fill="none" stroke="#2f6db5" stroke-width="2" d="{line}"/>'
    return _drawing(
        bottom + 38,
        title,
        [*_y_axis(y_scale, y_name), drawn, *_x_axis(x_scale, bottom, x_name)],
    )
