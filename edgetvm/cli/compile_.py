"""`edgetvm compile`: a model as a library for one target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import (
    Bound,
    NewFile,
    all_option,
    compile_options,
    json_option,
    profile_option,
    subject_options,
    tuned_options,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions


@click.command("compile", short_help="Compile a model for a board.")
@click.argument("model", metavar="MODEL|RECIPE")
@profile_option
@subject_options
@compile_options
@tuned_options
@click.option(
    "-o",
    "--output",
    type=NewFile(),
    metavar="FILE",
    help="Library to write (.so).",
)
@all_option
@json_option
def command(
    model: str,
    profile: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    output: Path | None,
    all_rows: bool,
    as_json: bool,
) -> None:
    """Compile a model for a board and show its kernels. It is not checked: package does that."""
    from edgetvm.base.files import write_bytes
    from edgetvm.base.steps import warn
    from edgetvm.cli.compile_views import MOST_ROWS, artifact_document, artifact_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.compile import compile_model
    from edgetvm.compile.fallbacks import schedule_warnings
    from edgetvm.workflow import find_profile, find_subject

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        target = find_profile(profile)
        artifact = compile_model(subject.load(), target, schedules(target, options), options)
        for sentence in schedule_warnings(artifact.kernels, options):
            warn(sentence)
        if output is not None:
            write_bytes(output, artifact.library)
    shown = artifact_view(artifact, output, None if all_rows else MOST_ROWS)
    terminal.result(artifact_document(artifact, output), shown)
