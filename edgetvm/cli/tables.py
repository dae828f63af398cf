"""Tables of what commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from edgetvm.base.words import printable


def new_table(*columns: str, right: Sequence[str] = (), folded: bool = False) -> Table:
    """An empty table; the columns of `right` hold numbers.

    Args:
        folded: long words go on in the next line, in the first column too, so that none takes the
            room of the others.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=index == 0 and not folded,
            overflow="fold" if folded else "ellipsis",
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
