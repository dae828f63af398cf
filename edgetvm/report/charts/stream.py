"""Chunks of streams on a line of time: when each came, was worked on, and had to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetvm.report.charts.drawing import COLOURS, LEFT, RIGHT, drawing, text, x_axis
from edgetvm.report.charts.scale import Scale

_TOP, _LANE = 40, 26
_LATE = "#c23a30"


@dataclass(frozen=True)
class ChunkTimes:
    """One chunk, in milliseconds.

    Attributes:
        stream: from 0 on.
        arrival: when it was complete.
        due: when its result had to be there.
        began, ended: None for one that did not run.
    """

    stream: int
    arrival: float
    due: float
    began: float | None
    ended: float | None

    @property
    def is_late(self) -> bool:
        """Whether its result came after it was due."""
        return self.ended is not None and self.ended > self.due


def stream_timeline(chunks: Sequence[ChunkTimes], title: str) -> str:
    """A lane for each stream: a tick where a chunk arrives, a bar while it is worked on, a thin
    line from its arrival to its deadline; red where the result comes too late, a cross where none
    comes.

    Args:
        chunks: at least one, of neighbouring times.
    """
    streams = sorted({one.stream for one in chunks})
    begin = min(one.arrival for one in chunks)
    end = max(max(one.due, one.ended or 0.0) for one in chunks)
    x = Scale(begin, max(end, begin + 1e-6), LEFT, RIGHT)
    bottom = _TOP + 2 * _LANE * len(streams)
    tops = {stream: _TOP + 2 * _LANE * lane for lane, stream in enumerate(streams)}
    parts = []
    if len(streams) > 1:
        parts += [text(0, tops[one] + 22, f"{one + 1}") for one in streams]
    due = "".join(_waits(one, index, x, tops) for index, one in enumerate(chunks))
    parts.append(
        f'<path class="mark" fill="none" stroke="currentColor" stroke-opacity=".55" d="{due}"/>'
    )
    for late, kind, colour in ((False, "data", COLOURS[0]), (True, "late", _LATE)):
        boxes = "".join(
            _works(one, index, x, tops)
            for index, one in enumerate(chunks)
            if one.is_late == late and one.began is not None
        )
        parts.append(f'<path class="{kind}" fill="{colour}" d="{boxes}"/>' if boxes else "")
    parts.append(_lost(chunks, x, tops))
    parts += x_axis(x, bottom, "ms since the run began")
    return drawing(bottom + 38, title, parts)


def _row(index: int, top: float) -> float:
    """Neighbours lie below each other by turns: a chunk that waits overlaps the next."""
    return top + (_LANE - 6) * (index % 2)


def _waits(one: ChunkTimes, index: int, x: Scale, tops: Mapping[int, float]) -> str:
    y = _row(index, tops[one.stream])
    return f"M{x(one.arrival):.1f} {y}v16m0-2H{x(one.due):.1f}m0 2v-8"


def _works(one: ChunkTimes, index: int, x: Scale, tops: Mapping[int, float]) -> str:
    if one.began is None or one.ended is None:
        return ""
    y = _row(index, tops[one.stream])
    width = max(1.0, x(one.ended) - x(one.began))
    return f"M{x(one.began):.1f} {y + 2}h{width:.1f}v10h-{width:.1f}z"


def _lost(chunks: Sequence[ChunkTimes], x: Scale, tops: Mapping[int, float]) -> str:
    crosses = "".join(
        f"M{x(one.arrival) + 3:.1f} {_row(index, tops[one.stream]) + 3}l8 8m0-8l-8 8"
        for index, one in enumerate(chunks)
        if one.began is None
    )
    return f'<path class="deadline" stroke="{_LATE}" d="{crosses}"/>' if crosses else ""
