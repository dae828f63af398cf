"""Layers of an 8-bit model on a board beside the float model's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgetvm.measure.measurement import Measurement
from edgetvm.report.results import results
from edgetvm.report.table import titled_table
from edgetvm.report.words import format_figure, shown

if TYPE_CHECKING:
    from rich.table import Table

LAYER_HOW = (
    "In the graph's order, on the board. Error: root mean square of the difference from the float "
    "model's values, in percent of theirs; what came before a layer is in it."
)
_MOST_ROWS = 60


def layer_tables(measurements: Sequence[Measurement]) -> list[Table]:
    """A table for a terminal for each measurement whose layers were compared.

    Raises:
        UsageError: no measurements.
    """
    from rich.text import Text

    tables = []
    for result in results(measurements):
        layers = result.measurement.layers
        if not layers:
            continue
        title = f"{result.model} beside its float model on {result.device}"
        table = titled_table(title, LAYER_HOW)
        table.add_column("Layer", overflow="fold")
        table.add_column("Operator")
        table.add_column("Error", justify="right", no_wrap=True)
        for layer in layers[:_MOST_ROWS]:
            error = f"{format_figure(layer.error_pct)} %"
            table.add_row(Text(shown(layer.tensor)), Text(shown(layer.operator)), error)
        if len(layers) > _MOST_ROWS:
            table.add_row(f"{len(layers) - _MOST_ROWS} more, in JSON", "", "")
        tables.append(table)
    return tables
