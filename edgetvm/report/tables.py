"""All tables of a report for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgetvm.base.units import format_ms
from edgetvm.measure.measurement import Measurement
from edgetvm.report.across import Cell, Matrix, board_rows, matrix_of
from edgetvm.report.background import NO_BACKGROUND, Background
from edgetvm.report.layers import layer_tables
from edgetvm.report.peers import peer_tables
from edgetvm.report.real_time import real_time_tables
from edgetvm.report.results import results
from edgetvm.report.table import summary_table, titled_table
from edgetvm.report.words import NONE

if TYPE_CHECKING:
    from rich.table import Table


def report_tables(
    measurements: Sequence[Measurement], background: Background = NO_BACKGROUND
) -> list[Table]:
    """The summary first, then models by boards, the boards, and what only some measurements have.

    Raises:
        UsageError: no measurements.
    """
    matrix = matrix_of(results(measurements))
    return [
        summary_table(measurements),
        *([_matrix_table(matrix)] if matrix is not None else []),
        _boards_table(measurements, background),
        *real_time_tables(measurements),
        *peer_tables(measurements),
        *layer_tables(measurements),
    ]


def _matrix_table(matrix: Matrix) -> Table:
    from rich.text import Text

    how = "p50 of one run; of several settings the fastest that answers rightly. ! has a warning."
    table = titled_table("Models by boards", how)
    table.add_column("Model", overflow="fold")
    for board in matrix.boards:
        table.add_column(Text(board), justify="right", overflow="fold")
    for model, cells in matrix.rows:
        table.add_row(Text(model), *map(_told, cells))
    return table


def _told(cell: Cell) -> str:
    if cell.p50_ms is None:
        return NONE
    return format_ms(cell.p50_ms) + (" !" if cell.doubts else "")


def _boards_table(measurements: Sequence[Measurement], background: Background) -> Table:
    from rich.text import Text

    how = "Hottest sensor and windows of these measurements; health as the farm knows it."
    table = titled_table("Boards", how)
    for name in ("Board", "Profile, CPU, system", "Hottest", "INVALID windows", "Health"):
        table.add_column(name, overflow="fold")
    for one in board_rows(results(measurements), background.boards):
        windows = " ".join(filter(None, (one.windows, one.why)))
        table.add_row(*map(Text, (one.board, one.facts, one.hottest, windows, one.health)))
    return table
