"""Tables of what commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from edgetvm.base.words import printable


def new_table(*columns: str, right: Sequence[str] = (), folded: Sequence[str] = ()) -> Table:
    """An empty table.

    Args:
        columns: their names.
        right: those that hold numbers.
        folded: those that take several lines where the terminal is narrow, so that all others stay
            whole; without any, all but the first do.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column not in folded if folded else index == 0,
            overflow="fold" if column in folded else "ellipsis",
        )
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add cells whose text may come from a file: nothing in it is obeyed."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def fact_table(rows: Mapping[str, object]) -> Table:
    """A name and its value on each line."""
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        add_row(table, name, str(value))
    return table
