"""`edgetvm gate`: whether models became slower, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.compare import board_option, turn_options
from edgetvm.cli.options import (
    NewFile,
    Percent,
    compile_options,
    json_option,
    store_option,
    tuned_options,
    wait_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetvm.cli.options import Schedules
    from edgetvm.cli.terminal import Terminal
    from edgetvm.compile import CompileOptions
    from edgetvm.measure.judging import Judged

_EPILOG = """
\b
Exit codes of this command: 0 pass, 1 regression, 2 usage, 3 inconclusive,
4 could not be measured.
"""


@click.command("gate", short_help="For CI: whether models are slower than before.", epilog=_EPILOG)
@click.argument("models", nargs=-1, required=True, metavar="MODEL|RECIPE|PACKAGE...")
@click.option(
    "--max-regression",
    "max_pct",
    type=Percent(),
    default=3.0,
    show_default=True,
    help="By how much a model may be slower.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="PACKAGE",
    help="Run this package in turns with the model; without it the last good stored runs count.",
)
@click.option("--junit", type=NewFile(), metavar="FILE", help="Write the outcome as JUnit's XML.")
@board_option
@wait_option
@turn_options
@compile_options
@tuned_options
@store_option("Where good runs are kept; the user's own file without it.")
@json_option
def command(
    models: tuple[str, ...],
    max_pct: float,
    baseline: Path | None,
    junit: Path | None,
    device: str,
    wait_s: float,
    processes: int,
    runs: int,
    max_s: float,
    threads: int | None,
    options: CompileOptions,
    schedules: Schedules,
    url: str | None,
    as_json: bool,
) -> None:
    """Measure models against a baseline on the same board, and end with a code of its own.

    A model is a regression only where the interval of the ratio of medians lies beyond what is
    allowed, and a second run confirms it.

    \b
    edgetvm gate --max-regression 3% model.onnx --junit gate.xml
    edgetvm gate model.onnx --baseline released.edgetvm --device my-rpi4
    """
    from edgetvm.base.errors import ConfigurationError, EdgetvmError, UsageError
    from edgetvm.boards import load_profile
    from edgetvm.cli.compare_views import judged_document, judged_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.measure import Store
    from edgetvm.measure.judging import USAGE_CODE, Judged, exit_code_of
    from edgetvm.package import read_package
    from edgetvm.workflow.comparing import Turn
    from edgetvm.workflow.gating import GatePlan, gate

    terminal = Terminal(as_json)
    try:
        if baseline is not None and not baseline.exists():
            raise UsageError("no such file", where=str(baseline), mend="check the path")
        store, board = Store(url), find_board(device)
        plan = GatePlan(
            max_pct / 100,
            Turn(processes, runs, max_s, threads),
            None if baseline is None else read_package(baseline),
        )
        with terminal.steps():
            tuned = schedules(load_profile(board.profile), options)
            judged = gate(models, board, plan, tuned, options, wait_s=wait_s, store=store)
    except (UsageError, ConfigurationError) as error:
        terminal.say(f"error: {error}")
        click.get_current_context().exit(USAGE_CODE)
    except EdgetvmError as error:
        judged = [Judged(name, device, "error", str(error)) for name in dict.fromkeys(models)]
    is_written = junit is None or _wrote(judged, junit, terminal)
    terminal.result(judged_document(judged), judged_view(judged))
    click.get_current_context().exit(exit_code_of(judged, is_written))


def _wrote(judged: Sequence[Judged], junit: Path, terminal: Terminal) -> bool:
    from edgetvm.base.errors import StorageError
    from edgetvm.base.files import write_text
    from edgetvm.report.junit import render_junit

    try:
        write_text(junit, render_junit(judged))
    except StorageError as error:
        terminal.say(f"error: {error}")
        return False
    return True
