"""`edgetvm inspect`: what became of a model, kernel by kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from edgetvm.cli.options import (
    Bound,
    all_option,
    compile_options,
    json_option,
    profile_option,
    subject_options,
    threads_option,
    tuned_options,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions


@click.command("inspect", short_help="Show a compiled model kernel by kernel.")
@click.argument("model", metavar="MODEL|RECIPE|PACKAGE")
@profile_option
@subject_options
@compile_options
@tuned_options
@click.option(
    "--time",
    "timed",
    is_flag=True,
    help="Run it on this machine and time each kernel. Not for other boards.",
)
@threads_option
@click.option("--decisions", is_flag=True, help="Show what each schedule rule decided.")
@all_option
@json_option
def command(
    model: str,
    profile: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    timed: bool,
    threads: int | None,
    decisions: bool,
    all_rows: bool,
    as_json: bool,
) -> None:
    """Show a compiled model kernel by kernel: nodes, shapes, layout, schedule rule, share of work.

    Kernels in plain loops that do much of the work are warned about. At -O4, and in
    float16, the error that this makes is measured too.

    \b
    edgetvm inspect model.onnx --time            where a run here spends its time
    edgetvm inspect model.onnx --device rpi4     what a board will run
    edgetvm inspect model.edgetvm                a package's first target
    """
    from edgetvm.cli.compile_views import MOST_ROWS, inspection_document, inspection_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import is_package, read_package
    from edgetvm.workflow import find_profile, find_subject, inspect, inspect_package

    terminal = Terminal(as_json)
    with terminal.steps():
        if model.endswith(".edgetvm") or is_package(Path(model)):
            given = click.get_current_context().get_parameter_source("profile")
            chosen = None if given is ParameterSource.DEFAULT else find_profile(profile).name
            found = inspect_package(read_package(Path(model)), chosen, timed, threads)
        else:
            subject = find_subject(model, dict(shapes), dict(bindings))
            target = find_profile(profile)
            tuned = schedules(target, options)
            found = inspect(subject, target, options, tuned, timed, threads)
    shown = inspection_view(found, None if all_rows else MOST_ROWS, decisions)
    terminal.result(inspection_document(found), shown)
