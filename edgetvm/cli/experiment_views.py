"""What `edgetvm experiment --dry-run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from edgetvm.base.words import printable
from edgetvm.cli.tables import new_table

if TYPE_CHECKING:
    from rich.table import Table

    from edgetvm.workflow.experimenting import Planned


def planned_document(planned: Sequence[Planned]) -> list[dict[str, Any]]:
    """Every variant and peer, and what is missing."""
    return [asdict(one) for one in planned]


def planned_view(planned: Sequence[Planned]) -> Table:
    """A line for each."""
    table = new_table("variant", "where", "to do", folded=("variant", "where", "to do"))
    for one in planned:
        todo = ", ".join(one.missing) or "nothing: it is stored"
        told = [f"cannot be: {one.why}"] if one.why else [todo, *one.notes]
        cells = (one.name,), (one.where,), told
        table.add_row(*(Text("\n".join(map(printable, cell))) for cell in cells))
    return table
