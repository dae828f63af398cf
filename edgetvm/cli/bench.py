"""`edgetvm bench`: from a model to a number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetvm.cli.options import (
    Bound,
    compile_options,
    device_option,
    json_option,
    mismatch_option,
    subject_options,
    threads_option,
    tuned_options,
    wait_option,
)
from edgetvm.cli.real_time import real_time_options

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions
    from edgetvm.measure import RealTimePlan


@click.command("bench", short_help="Measure models on a board: latency, memory, correctness.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL|RECIPE...")
@device_option
@wait_option
@click.option("--runs", type=click.IntRange(1), default=200, show_default=True, help="Timed runs.")
@click.option(
    "--warmup", type=click.IntRange(0), default=10, show_default=True, help="Untimed runs before."
)
@click.option(
    "--max-time",
    "max_s",
    type=click.FloatRange(0.1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Begin no run after so long.",
)
@threads_option
@real_time_options
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="A,B",
    help="Time other runtimes in turns with it: onnxruntime, litert, openvino, ncnn, mnn.",
)
@click.option(
    "--against",
    metavar="MODEL",
    help="The float model of a quantised one: how far the board agrees with it is told too.",
)
@click.option(
    "--layers", is_flag=True, help="With --against: how far each layer is from the float model's."
)
@subject_options
@compile_options
@tuned_options
@mismatch_option
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a report too: .html, .md, .csv or .json.",
)
@json_option
def command(
    models: tuple[str, ...],
    device: str,
    wait_s: float,
    runs: int,
    warmup: int,
    max_s: float,
    threads: int | None,
    real_time: Callable[[], RealTimePlan | None],
    peers: tuple[str, ...],
    against: str | None,
    layers: bool,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    allow_mismatch: bool,
    report_path: Path | None,
    as_json: bool,
) -> None:
    """Compile models, check them against their reference runtime, and measure them on a board.

    Of several models one that cannot be measured is told with its reason, and the others are
    measured all the same; the exit code is then that of the first that could not.

    \b
    edgetvm bench model.onnx                    any ONNX or TFLite file, on this machine
    edgetvm bench vision/ppocr-det              a recipe, with its real data and metrics
    edgetvm bench model.onnx --device my-rpi4   on a board of the inventory
    edgetvm bench speech/silero-vad --real-time --streams 4
    edgetvm bench model.onnx --peer onnxruntime,openvino
    """
    from edgetvm.boards import load_profile
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import failure_document
    from edgetvm.farm import find_board
    from edgetvm.measure import Plan, check_peers
    from edgetvm.report import (
        check_format,
        layer_tables,
        peer_lines,
        peer_tables,
        real_time_tables,
        render_json,
        summary_table,
        warning_lines,
        write_report,
    )
    from edgetvm.workflow import bench_each

    terminal = Terminal(as_json)
    board = find_board(device)
    if report_path is not None:
        check_format(report_path)
    named = tuple(dict.fromkeys(name.strip() for one in peers for name in one.split(",")))
    check_peers(named, board)
    with terminal.steps():
        plan = Plan(
            runs,
            warmup,
            max_s,
            threads,
            allow_mismatch,
            real_time=real_time(),
            peers=named,
            against=against,
            layers=layers,
        )
        tuned = schedules(load_profile(board.profile), options)
        found = bench_each(
            models,
            board,
            plan,
            tuned,
            options,
            shapes=dict(shapes),
            bindings=dict(bindings),
            wait_s=wait_s,
        )
    measurements, failures = found.measurements, found.failures
    first_error = next(iter(failures.values()), None)
    if first_error is not None and len(models) == 1:
        raise first_error
    if measurements:
        document: Any = None
        if as_json:
            import json

            document = json.loads(render_json(measurements))
            document["failures"] = failure_document(failures)
        from rich.console import Group

        tables = [
            *real_time_tables(measurements),
            *peer_tables(measurements),
            *layer_tables(measurements),
        ]
        terminal.result(document, Group(summary_table(measurements, failures), *tables))
        for line in [*peer_lines(measurements), *warning_lines(measurements)]:
            terminal.say(line)
        if report_path is not None:
            write_report(measurements, report_path)
            terminal.say(f"report: {report_path.resolve()}")
    for name, error in failures.items():
        terminal.say(f"error: {error}" if name in str(error) else f"error: {name}: {error}")
    if first_error is not None:
        click.get_current_context().exit(first_error.exit_code)
