"""Which classes were taken for which."""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.report.charts.drawing import COLOURS, WIDTH, drawing, text
from edgetvm.report.words import shown

# Counts in more cells cannot be read.
_MOST_TOLD = 12
_SHADES = 8
_LABELS, _HEAD = 150, 96


def confusion_matrix(classes: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """A row for each label and a column for each prediction, darker by its share of the row.

    What is wrong has another colour than what is right.

    Args:
        counts: `[label][prediction]`.
    """
    count = max(1, len(classes))
    cell = max(2, min(34, (WIDTH - _LABELS - 8) // count))
    parts = []
    for right in (True, False):
        colour = 2 if right else 1
        for shade, path in sorted(_shaded(counts, cell, right).items()):
            parts.append(
                f'<path class="f{colour}" fill="{COLOURS[colour]}" '
                f'fill-opacity="{0.1 + 0.6 * shade / _SHADES:.2g}" d="{path}"/>'
            )
    side = cell * count
    parts.append(
        f'<path fill="none" stroke="currentColor" stroke-opacity=".3" '
        f'd="M{_LABELS} {_HEAD}h{side}v{side}h-{side}z"/>'
    )
    parts += _names(classes, cell)
    if count <= _MOST_TOLD:
        parts.append(_counts(counts, cell))
    parts.append(text(0, _HEAD - 8, "label", ""))
    parts.append(text(_LABELS, _HEAD + side + 18, "columns: taken for", ""))
    return drawing(_HEAD + side + 26, title, parts)


def _shaded(counts: Sequence[Sequence[int]], cell: int, right: bool) -> dict[int, str]:
    """Cells of each shade as one path."""
    found: dict[int, list[str]] = {}
    for row, of_label in enumerate(counts):
        total = sum(of_label)
        for column, value in enumerate(of_label):
            if value and (row == column) == right:
                x, y = _LABELS + column * cell, _HEAD + row * cell
                # No cell of which there is something has the shade of nothing.
                shade = max(1, round(_SHADES * value / total))
                side = cell - 1
                found.setdefault(shade, []).append(f"M{x} {y}h{side}v{side}h-{side}")
    return {shade: "".join(paths) for shade, paths in found.items()}


def _names(classes: Sequence[str], cell: int) -> list[str]:
    size = max(6.0, min(13.0, cell - 1))
    rows = "".join(
        text(_LABELS - 6, _HEAD + (at + 0.5) * cell + size * 0.35, shown(name, 20))
        for at, name in enumerate(classes)
    )
    columns = "".join(
        text(5 - _HEAD, _LABELS + (at + 0.5) * cell + size * 0.35, shown(name, 12))
        for at, name in enumerate(classes)
    )
    return [
        f'<g font-size="{size:g}" text-anchor="end">{rows}</g>',
        f'<g font-size="{size:g}" transform="rotate(-90)">{columns}</g>',
    ]


def _counts(counts: Sequence[Sequence[int]], cell: int) -> str:
    told = "".join(
        text(_LABELS + (column + 0.5) * cell, _HEAD + (row + 0.5) * cell + 4, str(value))
        for row, of_label in enumerate(counts)
        for column, value in enumerate(of_label)
        if value
    )
    return f'<g class="ink" font-size="11" text-anchor="middle">{told}</g>'
