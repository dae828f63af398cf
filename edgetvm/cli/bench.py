"""`edgetvm bench`: from a model to a number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
    from edgetvm.measure.rules import Preset, Scenario


_MOST: Literal["most"] = "most"


class Rate(click.ParamType[float | Literal["most"]]):
    """Queries a second, or the word for as many as are held."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | Literal["most"]:
        if value == _MOST:
            return _MOST
        try:
            return click.FloatRange(0, min_open=True).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no number above 0, nor {_MOST}", param, ctx)


@click.command("bench", short_help="Measure models on a board: latency, memory, correctness.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL|RECIPE...")
@device_option
@wait_option
@click.option(
    "--any",
    "on_any",
    is_flag=True,
    help="Measure on whichever of the boards is free first; once more on another if it fails.",
)
@click.option(
    "--scenario",
    type=click.Choice(["single-stream", "multi-stream", "offline", "server", "cold-start"]),
    default="single-stream",
    show_default=True,
    help="How queries come.",
)
@click.option(
    "--preset",
    type=click.Choice(["normal", "quick", "rapid", "glance"]),
    default="rapid",
    show_default=True,
    help="How many runs, and for how long: MLPerf Mobile's; glance is a first look of a second.",
)
@click.option("--runs", type=click.IntRange(1), help="So many timed runs; the preset's without it.")
@click.option(
    "--warmup", type=click.IntRange(0), help="Untimed runs before; found from the data without it."
)
@click.option(
    "--max-time",
    "max_s",
    type=click.FloatRange(0.1),
    metavar="SECONDS",
    help="Begin no run after so long; the preset's limit without it, 30 s with --runs.",
)
@click.option(
    "--qps",
    type=Rate(),
    metavar=f"NUMBER|{_MOST}",
    help=f"Queries a second, for --scenario server; {_MOST}: find the most that keep the bound.",
)
@click.option(
    "--bound",
    "bound_ms",
    type=click.FloatRange(0, min_open=True),
    metavar="MS",
    help="That 99% of a server's queries keep; the recipe's deadline without it.",
)
@threads_option
@real_time_options
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="A,B",
    help="Time other runtimes in turns with it, on the same board: onnxruntime, litert, "
    "openvino, ncnn, mnn.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Pictures, recordings or arrays in place of a recipe's own.",
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
    on_any: bool,
    scenario: Scenario,
    preset: Preset,
    runs: int | None,
    warmup: int | None,
    max_s: float | None,
    qps: float | Literal["most"] | None,
    bound_ms: float | None,
    threads: int | None,
    real_time: Callable[[], RealTimePlan | None],
    peers: tuple[str, ...],
    against: str | None,
    layers: bool,
    data: Path | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    allow_mismatch: bool,
    report_path: Path | None,
    as_json: bool,
) -> None:
    """Compile models, check them against their reference runtime, and measure them on a board.

    Of several models or boards, what cannot be measured is told with its reason, and the rest is
    measured all the same; the exit code is then that of the first that could not.

    \b
    edgetvm bench model.onnx                    any model file, on this machine
    edgetvm bench vision/ppocr-det              a recipe, with data and metrics
    edgetvm bench model.onnx --device my-rpi4   on a board of the inventory
    edgetvm bench model.onnx --preset normal    at least 1024 runs and a minute
    edgetvm bench model.onnx --scenario server --qps 50 --bound 20
    edgetvm bench model.onnx --scenario server --qps most --bound 20
    edgetvm bench a.onnx b.onnx --device rpi4   on all boards of a profile
    edgetvm bench speech/silero-vad --real-time --streams 4
    edgetvm bench model.onnx --peer onnxruntime,openvino
    """
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import failure_document
    from edgetvm.farm import find_boards
    from edgetvm.measure import Plan, Store, check_peers
    from edgetvm.report import (
        NO_BACKGROUND,
        check_format,
        json_pieces,
        layer_tables,
        peer_lines,
        peer_tables,
        real_time_tables,
        summary_table,
        warning_lines,
        write_report,
    )
    from edgetvm.workflow import bench_any, bench_each
    from edgetvm.workflow.reporting import background_of

    terminal = Terminal(as_json)
    boards = find_boards(device)
    if scenario != "server" and (qps is not None or bound_ms is not None):
        option = "--qps" if qps is not None else "--bound"
        raise click.UsageError(f"{option} goes with --scenario server: add it")
    if report_path is not None:
        check_format(report_path)
    named = tuple(dict.fromkeys(name.strip() for one in peers for name in one.split(",")))
    for board in boards:
        check_peers(named, board)
    with terminal.steps():
        plan = Plan(
            runs=runs,
            warmup=warmup,
            max_s=max_s,
            threads=threads,
            allow_mismatch=allow_mismatch,
            scenario=scenario,
            preset=preset,
            target_qps=qps,
            bound_ms=bound_ms,
            real_time=real_time(),
            peers=named,
            against=against,
            layers=layers,
        )
        found = (bench_any if on_any else bench_each)(
            models,
            boards,
            plan,
            lambda profile: schedules(profile, options),
            options,
            shapes=dict(shapes),
            bindings=dict(bindings),
            data=data,
            wait_s=wait_s,
        )
    measurements, failures = found.measurements, found.failures
    first_error = next(iter(failures.values()), None)
    if first_error is not None and len(models) == 1 and (on_any or len(boards) == 1):
        raise first_error
    if measurements:
        is_told = as_json or report_path is not None
        background = background_of(measurements, Store()) if is_told else NO_BACKGROUND
        document = json_pieces(measurements, background, {"failures": failure_document(failures)})
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
            write_report(measurements, report_path, background=background)
            terminal.say(f"report: {report_path.resolve()}")
    terminal.failures(failures)
    if first_error is not None:
        click.get_current_context().exit(first_error.exit_code)
