"""What all drawings share: the frame, words, axes, strokes.

Colours stand as attributes, and words have the colour of the page: a drawing is readable where no
style sheet is allowed, on light and on dark screens. A page's style sheet overrules them by class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from edgetvm.report.charts.scale import Axis
from edgetvm.report.words import shown

WIDTH = 560
LEFT, RIGHT = 52, WIDTH - 24
# Of a letter, on average; words that are measured by it never run into one another.
LETTER = 7.2
# For what is told apart by colour; each is told in words too.
COLOURS = ("#3b7dc4", "#c4661f", "#2a8a63", "#9a4f96", "#8a6d00", "#4a9cc7", "#b3465a", "#6b7280")


def drawing(height: float, title: str, parts: Iterable[str], read: str = "") -> str:
    """The SVG text of all parts.

    Args:
        title: all that the drawing tells, for those who cannot see it.
        read: see `readable`.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" font-size="13" fill="currentColor"{read}>'
        f"<title>{escape(shown(title, 1000))}</title>{''.join(parts)}</svg>"
    )


def readable(x: Axis, y: Axis, x_unit: str, y_unit: str) -> str:
    """What a script needs to tell the values under a pointer: both axes and their units."""
    axes = (f"{axis.told} {unit}" for axis, unit in ((x, x_unit), (y, y_unit)))
    return f' data-axes="{escape("|".join(axes))}"'


def text(x: float, y: float, words: str, extra: str = "") -> str:
    """Words that begin at a point, or end or stand about it by `extra`."""
    return f'<text x="{x:.0f}" y="{y:.0f}"{extra}>{escape(words)}</text>'


def width_of(words: str) -> float:
    """Room that words take, in pixels."""
    return LETTER * len(words)


def strokes(points: Iterable[tuple[float, float, float]]) -> str:
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


def line(points: Sequence[tuple[float, float]]) -> str:
    """A line through points, in half pixels too."""
    fine = [(round(2 * x), round(2 * y)) for x, y in points]
    moves = [f"M{fine[0][0]} {fine[0][1]}l"]
    moves += [f"{x - past_x} {y - past_y}" for (past_x, past_y), (x, y) in pairwise(fine)]
    return " ".join(moves).replace("l ", "l").replace(" -", "-").removesuffix("l")


def drawn_line(path: str, extra: str = "", width: int = 3, colour: int = 0) -> str:
    """What `line` or `strokes` gave, as an element; `width` in half pixels."""
    name = f"c{colour} open" if colour else "stroke"
    return (
        f'<path class="{name}" fill="none" stroke="{COLOURS[colour]}" stroke-width="{width}"'
        f'{extra} transform="scale(.5)" d="{path}"/>'
    )


def x_axis(scale: Axis, y: float, name: str) -> list[str]:
    """The axis at a height, with its ticks and name below."""
    ticks = scale.ticks()
    marks = "".join(f"M{scale(tick):.0f} {y}v4" for tick in ticks)
    labels = (
        text(scale(tick), y + 17, label) for tick, label in zip(ticks, scale.labels(), strict=True)
    )
    return [
        f'<path stroke="currentColor" stroke-opacity=".5" d="M{LEFT} {y}H{RIGHT}{marks}"/>',
        f'<g text-anchor="middle">{"".join(labels)}</g>',
        text(RIGHT, y + 35, name, ' text-anchor="end"'),
    ]


def y_axis(scale: Axis, name: str) -> list[str]:
    """A grid line and a label for each tick, and the axis' name above."""
    ticks = scale.ticks()
    lines = "".join(f"M{LEFT} {scale(tick):.0f}H{RIGHT}" for tick in ticks)
    labels = (
        text(LEFT - 6, scale(tick) + 4, label)
        for tick, label in zip(ticks, scale.labels(), strict=True)
    )
    return [
        f'<path stroke="currentColor" stroke-opacity=".15" d="{lines}"/>',
        f'<g text-anchor="end">{"".join(labels)}</g>',
        text(0, min(scale.start, scale.end) - 13, name, ""),
    ]
