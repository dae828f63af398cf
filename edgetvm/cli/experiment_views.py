"""What `edgetvm experiment --dry-run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgetvm.cli.tables import add_row, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from edgetvm.workflow.experimenting import Planned


def planned_document(planned: Sequence[Planned]) -> list[dict[str, Any]]:
    """Every variant and peer, and what is missing."""
    return [asdict(one) for one in planned]


def planned_view(planned: Sequence[Planned]) -> Table:
    """A line for each."""
    table = new_table("variant", "where", "to do", folded=("variant", "to do"))
    for one in planned:
        told = one.why or ", ".join(one.missing) or "nothing: it is stored"
        add_row(table, one.name, one.where, told)
    return table
