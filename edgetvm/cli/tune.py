"""`edgetvm tune`: search schedules on boards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import Bound, compile_options, device_option, json_option, subject_options

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.command("tune", short_help="Search faster schedules on boards.")
@click.argument("model", metavar="MODEL|RECIPE")
@device_option
@subject_options
@compile_options
@click.option("--trials", type=click.IntRange(1), help="Candidates to measure at most.")
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where trials are kept; the user's own database without it.",
)
@json_option
def command(
    model: str,
    device: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    trials: int | None,
    database: Path | None,
    as_json: bool,
) -> None:
    """Search faster schedules for a model's kernels, measured on boards over RPC."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import tuned_document, tuned_view
    from edgetvm.farm import find_board
    from edgetvm.tune import Budget
    from edgetvm.workflow import find_subject, tune

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        outcome = tune(subject, [find_board(device)], Budget(trials), database, options)
    terminal.result(tuned_document(outcome.tuned), tuned_view(outcome.tuned))
