"""Operators under the roof of a board: what its arithmetic and its memory allow.

Source: Williams, Waterman and Patterson, Roofline: An Insightful Visual Performance Model, 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgetvm.report.charts.drawing import COLOURS, LEFT, RIGHT, drawing, line, text, x_axis, y_axis
from edgetvm.report.charts.scale import Scale
from edgetvm.report.words import shown

_TOP, _BOTTOM = 34, 230
_LEAST_AREA, _MOST_AREA = 12.0, 160.0


@dataclass(frozen=True)
class Work:
    """All calls of an operator in a run.

    Attributes:
        flop_per_byte: operations for each byte that it reads or writes.
        gflops: billions of operations a second.
        share: of the run's time, 0 to 1.
        told: in words.
    """

    flop_per_byte: float
    gflops: float
    share: float
    told: str


def roofline(
    works: Sequence[Work], peak_gflops: float, bandwidth_gbs: float | None, title: str
) -> str:
    """A circle for each operator, its area by its share of the run, under the board's roof.

    Args:
        works: at least one, with figures above 0.
        peak_gflops: of the threads that ran.
        bandwidth_gbs: gigabytes a second of the board's memory; None where it is not known.
    """
    ridge = [peak_gflops / bandwidth_gbs] if bandwidth_gbs else []
    at = [*(one.flop_per_byte for one in works), *ridge]
    speeds = [one.gflops for one in works]
    x = Scale(min(at) / 2, max(at) * 2, LEFT, RIGHT, log=True)
    y = Scale(min(speeds) / 2, max([*speeds, peak_gflops]) * 1.6, _BOTTOM, _TOP, log=True)
    bends = [x.low, *ridge, x.high]
    roof = [(x(one), y(min(peak_gflops, one * (bandwidth_gbs or math.inf)))) for one in bends]
    told = f"{peak_gflops:.4g} GFLOP/s" + (f", {bandwidth_gbs:.4g} GB/s" if bandwidth_gbs else "")
    parts = [
        *y_axis(y, "GFLOP/s, logarithmic"),
        f'<path class="mark" fill="none" stroke="currentColor" stroke-width="3" '
        f'transform="scale(.5)" d="{line(roof)}"/>',
        text(RIGHT, y(peak_gflops) - 6, told, ' text-anchor="end"'),
        *(_circle(one, x, y) for one in sorted(works, key=lambda work: -work.share)),
        *x_axis(x, _BOTTOM, "operations for each byte moved, logarithmic"),
    ]
    return drawing(_BOTTOM + 38, title, parts)


def _circle(work: Work, x: Scale, y: Scale) -> str:
    radius = max(_LEAST_AREA, _MOST_AREA * work.share) ** 0.5
    return (
        f'<circle class="c0" fill="{COLOURS[0]}" stroke="{COLOURS[0]}" fill-opacity=".45" '
        f'cx="{x(work.flop_per_byte):.1f}" cy="{y(work.gflops):.1f}" r="{radius:.1f}">'
        f"<title>{escape(shown(work.told, 200))}</title></circle>"
    )
