"""A series as it came, and as it was predicted."""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.report.charts.drawing import (
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
from edgetvm.report.charts.scale import Scale

_TOP, _BOTTOM = 46, 230
_MOST_SHOWN = 250
# Of the height, above and below, and of the largest number where all are the same.
_MARGIN = 0.04


def track(labels: Sequence[float], values: Sequence[float], title: str) -> str:
    """Two lines over the same steps, the last 250 of them: what came, and what was predicted."""
    count = min(len(labels), _MOST_SHOWN)
    came, predicted = labels[-count:], values[-count:]
    low, high = min(*came, *predicted), max(*came, *predicted)
    margin = _MARGIN * ((high - low) or abs(high) or 1.0)
    y = Scale(low - margin, high + margin, _BOTTOM, _TOP)
    x = Scale(float(len(labels) - count + 1), float(len(labels)), LEFT, RIGHT)
    parts = y_axis(y, "")
    for row, (name, series) in enumerate((("real", came), ("predicted", predicted))):
        points = [(x(x.low + step), y(value)) for step, value in enumerate(series)]
        parts.append(drawn_line(line(points), colour=row))
        at = LEFT + 110 * row
        parts.append(drawn_line(line([(at, 20), (at + 20, 20)]), colour=row))
        parts.append(text(at + 26, 24, name))
    return drawing(
        _BOTTOM + 38,
        title,
        [*parts, *x_axis(x, _BOTTOM, "sample")],
        readable(x, y, "sample", ""),
    )
