"""Latency, accuracy and size of many things in one drawing, and which of them none beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from edgetvm.report.charts.drawing import (
    COLOURS,
    LEFT,
    RIGHT,
    drawing,
    text,
    width_of,
    x_axis,
    y_axis,
)
from edgetvm.report.charts.scale import Scale, fitted
from edgetvm.report.words import shown

_HEIGHT = 250
_LARGEST_VALUE = 1e300  # that an axis can be made for
_SMALLEST, _LARGEST = 5.0, 16.0
_LINE = 15.0
_LONGEST_LABEL = 28


@dataclass(frozen=True)
class Spot:
    """One of them.

    Attributes:
        x: of which less is better: a latency.
        y: an accuracy, or an error.
        size: what its area tells, of which less is better; None for a dot.
        label: beside it, where there is room.
        told: all of it in words.
        group: what its colour tells.
    """

    x: float
    y: float
    size: float | None
    label: str
    told: str
    group: str = ""


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def lies_in(self, frame: _Box) -> bool:
        """Whether all of it does."""
        return (
            frame.left <= self.left
            and self.right <= frame.right
            and frame.top <= self.top
            and self.bottom <= frame.bottom
        )

    def meets(self, other: _Box) -> bool:
        """Whether both share any place."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def pareto_front(spots: Sequence[Spot], *, more_is_better: bool = True) -> list[int]:
    """Places of the spots that no other beats in x and y at once, by growing x.

    Of several that are equal in both all stay.
    """
    sign = -1.0 if more_is_better else 1.0
    ordered = sorted(range(len(spots)), key=lambda at: (spots[at].x, sign * spots[at].y))
    front: list[int] = []
    for at in ordered:
        best = spots[front[-1]] if front else None
        same = best is not None and (best.x, best.y) == (spots[at].x, spots[at].y)
        if best is None or same or sign * spots[at].y < sign * best.y:
            front.append(at)
    return front


def scatter(
    spots: Sequence[Spot],
    title: str,
    x_name: str,
    y_name: str,
    front: Sequence[int] = (),
) -> str:
    """A circle for each spot, its area by its size; labels never lie on each other.

    Args:
        spots: at least one; those without a place, as a value that is no number, are left out.
        x_name, y_name: with units.
        front: places of those that a line joins, by growing x: see `pareto_front`.
    """
    kept = [at for at, one in enumerate(spots) if _has_place(one)]
    # By name: a group has the same colour in drawings of the same groups.
    groups = sorted({spots[at].group for at in kept if spots[at].group})
    top = 30 + 20 * math.ceil(len(groups) / 2 if len(groups) > 1 else 0)
    bottom = top + _HEIGHT
    xs, ys = [spots[at].x for at in kept] or [0.0], [spots[at].y for at in kept] or [0.0]
    # Circles and their labels stay inside the frame.
    x = fitted(min(xs), max(xs), LEFT + 24, RIGHT - 60)
    y = fitted(min(ys), max(ys), bottom - 20, top + 20)
    places = {at: (x(spots[at].x), y(spots[at].y), _radius(spots, at)) for at in kept}
    parts = y_axis(y, _axis_name(y, y_name))
    parts.append(_front([places[at] for at in front if at in places]))
    # The smaller ones lie on the larger.
    for at, place in sorted(places.items(), key=lambda one: -one[1][2]):
        parts.append(_circle(spots[at], place, groups))
    parts += _labels(spots, places, top, bottom)
    parts += _legend(groups) if len(groups) > 1 else []
    parts += x_axis(x, bottom, _axis_name(x, x_name))
    return drawing(bottom + 38, title, parts)


def _has_place(spot: Spot) -> bool:
    return all(abs(value) <= _LARGEST_VALUE for value in (spot.x, spot.y))


def _circle(spot: Spot, place: tuple[float, float, float], groups: Sequence[str]) -> str:
    at = groups.index(spot.group) % len(COLOURS) if spot.group else 0
    x, y, radius = place
    return (
        f'<circle class="c{at}" fill="{COLOURS[at]}" stroke="{COLOURS[at]}" fill-opacity=".45" '
        f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
        f"<title>{escape(shown(spot.told, 300))}</title></circle>"
    )


def _axis_name(scale: Scale, name: str) -> str:
    return f"{name}, logarithmic" if scale.log else name


def _radius(spots: Sequence[Spot], at: int) -> float:
    sizes = [one.size for one in spots if one.size]
    size = spots[at].size
    if not size or not sizes:
        return _SMALLEST
    return max(_SMALLEST, _LARGEST * math.sqrt(size / max(sizes)))


def _front(points: Sequence[tuple[float, float, float]]) -> str:
    """Steps: what is as good as the last point, until the next is better."""
    if not points:
        return ""
    steps = "".join(f"H{x:.1f}V{y:.1f}" for _, (x, y, _) in pairwise(points))
    return (
        f'<path class="front" fill="none" stroke="currentColor" stroke-opacity=".6" '
        f'stroke-dasharray="5 4" d="M{points[0][0]:.1f} {points[0][1]:.1f}{steps}"/>'
    )


def _labels(
    spots: Sequence[Spot],
    places: dict[int, tuple[float, float, float]],
    top: float,
    bottom: float,
) -> list[str]:
    """Each label once, beside a circle that has it, on the first side that is free.

    What has none is told by its title.
    """
    frame = _Box(LEFT, top - 8, RIGHT + 20, bottom)
    taken = [_Box(x - r, y - r, x + r, y + r) for x, y, r in places.values()]
    drawn: dict[str, str] = {}
    for at, place in places.items():
        words = shown(spots[at].label, _LONGEST_LABEL)
        boxes = () if words in drawn else _beside(*place, width_of(words))
        free = (one for one in boxes if one.lies_in(frame) and not any(map(one.meets, taken)))
        box = next(free, None)
        if box is not None:
            taken.append(box)
            drawn[words] = text(box.left, box.bottom - 4, words)
    return list(drawn.values())


def _beside(x: float, y: float, radius: float, wide: float) -> tuple[_Box, ...]:
    """Room for a line of words on each side of a circle: right, left, above, below."""
    corners = (
        (x + radius + 5, y + 8),
        (x - radius - 5 - wide, y + 8),
        (x - wide / 2, y - radius - 1),
        (x - wide / 2, y + radius + 18),
    )
    return tuple(_Box(left, bottom - _LINE, left + wide, bottom) for left, bottom in corners)


def _legend(groups: Sequence[str]) -> list[str]:
    """Two to a line, above the drawing, on the right of the axis' name."""
    parts = []
    for index, name in enumerate(groups):
        x, y = LEFT + 240 * (index % 2), 14 + 20 * (index // 2)
        colour = index % len(COLOURS)
        parts.append(
            f'<circle class="c{colour}" fill="{COLOURS[colour]}" cx="{x}" cy="{y - 4}" r="5"/>'
            + text(x + 10, y, shown(name, 30))
        )
    return parts
