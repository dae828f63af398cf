"""An experiment for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgetvm.measure.experiment.rows import Results
from edgetvm.report.experiment.told import HOW, Line, Told, names_told
from edgetvm.report.table import titled_table
from edgetvm.report.words import NONE

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

# What stands in one column, above each other.
_HEAD = ("p50\nRounds", "Beside the\nbaseline", "Accuracy", "Deployed\nMemory")


def experiment_tables(results: Results) -> RenderableType:
    """A table for each group of rows that has figures, and its notes below it, in full width."""
    from rich.console import Group
    from rich.text import Text

    told = Told(results)
    parts: list[RenderableType] = []
    for title, lines in told.groups:
        has_figures = any(set(line.cells[1:]) != {NONE} for line in lines)
        head = title or results.experiment.name
        how = None if title else HOW
        parts.append(_table(head, lines, how) if has_figures else Text(head, style="bold"))
        parts += [*_notes(lines), ""]
    return Group(*parts[:-1])


def _table(title: str, lines: Sequence[Line], how: str | None) -> RenderableType:
    table = titled_table(title, how)
    table.add_column("Variant", min_width=14, overflow="fold")
    for name in _HEAD:
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> list[Text]:
    from rich.text import Text

    name, p50, span, ratio, accuracy, deployed, memory = line.cells
    middle, _, range_of = ratio.partition(" (")
    pairs = (
        (p50, span),
        (middle, range_of.removesuffix(")")),
        (accuracy, ""),
        (deployed, memory),
    )
    cells = [Text.assemble(above, (f"\n{below}", "dim")) for above, below in pairs]
    return [Text(name, style="bold" if line.best else ""), *cells]


def _notes(lines: Sequence[Line]) -> list[RenderableType]:
    """Each once, with all rows that it is of."""
    from rich.padding import Padding
    from rich.text import Text

    found: dict[str, list[str]] = {}
    for line in lines:
        for note in line.notes:
            found.setdefault(note, []).append(line.cells[0])
    return [
        Padding(Text.assemble((names_told(names), "bold"), f": {note}"), (0, 0, 0, 1))
        for note, names in found.items()
    ]


def experiment_lines(results: Results) -> list[str]:
    """The verdicts, then each question with its answer."""
    told = Told(results)
    lines = [f"{one.mark}: {one.sentence}" for one in told.verdicts]
    return lines + [f"{one.question} {' '.join(one.sentences)}" for one in told.answers]
