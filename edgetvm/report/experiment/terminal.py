"""An experiment for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetvm.measure.experiment.rows import Results
from edgetvm.report.experiment.told import HEAD, HOW, Told
from edgetvm.report.table import titled_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def experiment_tables(results: Results) -> RenderableType:
    """A table for each group of rows."""
    from rich.console import Group
    from rich.text import Text

    told, tables = Told(results), []
    for title, lines in told.groups:
        table = titled_table(title or results.experiment.name, None if title else HOW)
        for index, name in enumerate(HEAD):
            table.add_column(name, justify="right" if index else "left", overflow="fold")
        for line in lines:
            name, *others = line.cells
            cell = Text(name, style="bold" if line.best else "")
            for note in line.notes:
                cell.append(f"\n{note}", style="dim")
            table.add_row(cell, *others)
        tables.append(table)
    return Group(*tables)


def experiment_lines(results: Results) -> list[str]:
    """The verdicts, then each question with its answer."""
    told = Told(results)
    lines = [f"{one.mark}: {one.sentence}" for one in told.verdicts]
    return lines + [f"{one.question} {' '.join(one.sentences)}" for one in told.answers]
