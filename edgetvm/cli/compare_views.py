"""What `edgetvm compare` and `edgetvm gate` print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgetvm.base.units import format_ms
from edgetvm.cli.tables import add_row, new_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from edgetvm.measure.judging import Judged
    from edgetvm.workflow.comparing import Contest


def contests_document(contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """Every comparison, with what it says."""
    return [{**asdict(one), "told": one.told} for one in contests]


def contests_view(contests: Sequence[Contest]) -> RenderableType:
    """Ratios, and below them what else differs."""
    from rich.console import Group

    return Group(_ratios(contests), *(_different(one) for one in contests if one.different))


def _ratios(contests: Sequence[Contest]) -> Table:
    from edgetvm.measure.judging import change

    numbers = ("p50", "against", "difference (95%)", "p", "processes")
    table = new_table("what", *numbers, "verdict", right=numbers)
    for one in contests:
        found = one.comparison
        times = (format_ms(found.second_ms), f"{format_ms(found.first_ms)} of {one.first}")
        figures = (change(found), f"{one.p:.2g}", str(found.processes))
        add_row(table, one.second, *times, *figures, one.told)
    return table


def _different(contest: Contest) -> RenderableType:
    from rich.console import Group

    table = new_table("what differs", "first", "second", folded=("first", "second"))
    for row in contest.different:
        add_row(table, row.name, row.first, row.second)
    return Group("", table)


def judged_document(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Every model with its outcome and comparisons."""
    return [asdict(one) for one in judged]


def judged_view(judged: Sequence[Judged]) -> Table:
    """A line for each model."""
    table = new_table("model", "board", "outcome", "why", folded=("why",))
    for one in judged:
        add_row(table, one.model, one.board, one.outcome, one.why)
    return table
