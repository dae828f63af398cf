"""Bars: one for each of a few values, or for each operator beside what the board allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.report.charts.drawing import COLOURS, WIDTH, drawing, text
from edgetvm.report.words import shown

_ROW = 24


@dataclass(frozen=True)
class Bar:
    """One of them.

    Attributes:
        value: that it is as long as.
        told: beside it.
        bound: a shorter value that is marked on it; None without one.
    """

    label: str
    value: float
    told: str
    bound: float | None = None


def bars(rows: Sequence[Bar], title: str, label_width: int = 120, told_width: int = 100) -> str:
    """A bar for each, all from zero, its bound marked on it. The title tells the values too."""
    values = [one.value if math.isfinite(one.value) and one.value > 0 else 0.0 for one in rows]
    longest = max(values, default=0.0) or 1.0
    room, letters = WIDTH - label_width - told_width, label_width // 8
    drawn, marked, labels = [], [], []
    for index, (one, value) in enumerate(zip(rows, values, strict=True)):
        y = _ROW * index
        length = max(1.0, value / longest * room)
        drawn.append(f"M{label_width} {y + 4}h{length:.1f}v14H{label_width}")
        if one.bound is not None:
            at = label_width + min(1.0, one.bound / longest) * room
            marked.append(f"M{at:.1f} {y + 1}v20")
        labels.append(text(0, y + 15, shown(one.label, letters)))
        labels.append(text(label_width + length + 8, y + 15, shown(one.told, told_width // 7)))
    told = "; ".join(f"{shown(one.label, letters)} {shown(one.told)}" for one in rows)
    parts = [f'<path class="data" fill="{COLOURS[0]}" d="{"".join(drawn)}"/>', *labels]
    if marked:
        parts.append(
            f'<path class="mark" stroke="currentColor" stroke-width="2" d="{"".join(marked)}"/>'
        )
    return drawing(max(_ROW, _ROW * len(rows)), f"{title}: {told}", parts)
