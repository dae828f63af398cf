"""`edgetvm tune`: search schedules on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import Bound, compile_options, device_option, json_option, subject_options

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.command("tune", short_help="Search faster schedules on a board.")
@click.argument("model", metavar="MODEL|RECIPE")
@device_option
@subject_options
@compile_options
@click.option(
    "--trials", type=click.IntRange(1), default=64, show_default=True, help="Candidates to measure."
)
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where records are kept; one for each board profile without it.",
)
@json_option
def command(
    model: str,
    device: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    trials: int,
    database: Path | None,
    as_json: bool,
) -> None:
    """Search faster schedules for a model's kernels, measured on a board over RPC.

    \b
    edgetvm tune vision/ppocr-cls --device my-rpi4 --trials 500
    edgetvm bench vision/ppocr-cls --device my-rpi4 --database FOLDER
    """
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import tuned_document, tuned_view
    from edgetvm.farm import find_board
    from edgetvm.workflow import find_subject, tune

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        outcome = tune(subject, find_board(device), trials, database, options)
    terminal.result(tuned_document(outcome), tuned_view(outcome))
