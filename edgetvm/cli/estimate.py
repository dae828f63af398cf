"""`edgetvm estimate`: a model's latency without the board."""

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
    subject_options,
    tuned_options,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.cli.terminal import Terminal
    from edgetvm.compile import CompileOptions
    from edgetvm.workflow import Subject

# Parameters that count where nothing is compiled, and where kernels are measured.
_OF_PACKAGES = {"model", "names", "deadline_ms", "all_rows", "as_json"}
_NOT_CALIBRATING = {"deadline_ms", "all_rows", "tuned", "database"}


@click.command("estimate", short_help="Estimate a model's latency without the board.")
@click.argument("model", metavar="MODEL|RECIPE|PACKAGE")
@click.option(
    "--device",
    "names",
    metavar="NAME[,NAME…]",
    help="Board profiles, or boards that have one; a package's own targets without it.",
)
@click.option(
    "--deadline-ms",
    type=click.FloatRange(0, min_open=True),
    metavar="MS",
    help="Say which boards are enough for it.",
)
@click.option(
    "--calibrate",
    "board_name",
    metavar="BOARD",
    help="Measure kernels of the model on this board; later estimates for its profile are fitted "
    "to them.",
)
@subject_options
@compile_options
@tuned_options
@all_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    model: str,
    names: str | None,
    deadline_ms: float | None,
    board_name: str | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    all_rows: bool,
    as_json: bool,
) -> None:
    """Estimate how long a run takes on one core of boards that are not here. Nothing is measured.

    QEMU executes the code; a model of the core prices samples of it, and a simulation of the
    caches what memory costs. Each estimate has the range that its known error leaves.

    \b
    edgetvm estimate model.onnx --device rpi4          kernel by kernel
    edgetvm estimate model.onnx --device rpi4,rpi5,beagleplay --deadline-ms 30
    edgetvm estimate model.onnx --calibrate my-rpi4    with a board that is there
    """
    from edgetvm.cli.estimate_views import MOST_ROWS, estimates_document, estimates_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import is_package, read_package
    from edgetvm.workflow import estimate, estimate_package, find_profile, find_subject

    terminal = Terminal(as_json)
    packaged = model.endswith(".edgetvm") or is_package(Path(model))
    if board_name is not None:
        _refuse(context, _NOT_CALIBRATING, "--calibrate measures the default schedules")
        if packaged:
            raise click.UsageError("--calibrate builds kernels anew: name the model's file")
        subject = find_subject(model, dict(shapes), dict(bindings))
        _calibrate(terminal, subject, board_name, names, options)
        return
    with terminal.steps():
        given = [find_profile(name.strip()) for name in (names or "").split(",") if name.strip()]
        profiles = list({one.name: one for one in given}.values())
        if packaged:
            others = {one.name or "" for one in context.command.params} - _OF_PACKAGES
            _refuse(context, others, "a package is estimated as it was compiled")
            found = estimate_package(read_package(Path(model)), profiles)
        elif not profiles:
            raise click.UsageError(
                "name a board profile with --device (see: edgetvm profiles list)"
            )
        else:
            subject = find_subject(model, dict(shapes), dict(bindings))
            found = estimate(subject, profiles, options, schedules)
    shown = estimates_view(found, deadline_ms, None if all_rows else MOST_ROWS)
    terminal.result(estimates_document(found, deadline_ms), shown)


def _refuse(context: click.Context, parameters: set[str], why: str) -> None:
    """Refuse options that would change nothing.

    Raises:
        click.UsageError: one of these parameters was given.
    """
    for one in context.command.params:
        source = context.get_parameter_source(one.name or "")
        if one.name in parameters and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{why}: leave {one.opts[0]} out")


def _calibrate(
    terminal: Terminal,
    subject: Subject,
    board_name: str,
    profile_name: str | None,
    options: CompileOptions,
) -> None:
    from edgetvm.cli.estimate_views import calibration_document, calibration_view
    from edgetvm.farm import find_board
    from edgetvm.workflow import calibrate_on, find_profile

    with terminal.steps():
        board = find_board(board_name)
        profile = find_profile(profile_name or board.profile)
        found = calibrate_on(subject, board, profile, options)
    terminal.result(calibration_document(found), calibration_view(found, profile))
