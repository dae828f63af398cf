"""`edgetvm quantize`: a float model made an 8-bit one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import (
    Bound,
    NewFile,
    Percent,
    compile_options,
    json_option,
    subject_options,
    threads_option,
)

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions
    from edgetvm.models.quantising import Method


@click.command("quantize", short_help="Quantise an ONNX model to 8 bits after training.")
@click.argument("model", metavar="MODEL|RECIPE")
@click.option(
    "--max-loss",
    "max_loss_pct",
    type=Percent(),
    help="Leave as few layers in float as need be to lose at most so much; all are quantised "
    "without it.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER|FILE.npz",
    help="Real inputs to calibrate on and to judge by, beside the recipe's.",
)
@click.option(
    "--method",
    type=click.Choice(["minmax", "percentile", "entropy"]),
    help="How ranges are taken from the data; without it minmax or percentile, whichever loses "
    "less.",
)
@click.option(
    "--random-data",
    is_flag=True,
    help="Calibrate on random numbers where there are no data. What is shown then means nothing.",
)
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board to compare both models on, or board profile to compile both for.",
)
@click.option("--no-measure", is_flag=True, help="Neither compile the models nor run them.")
@click.option(
    "--runs", type=click.IntRange(1), default=200, show_default=True, help="Timed runs of each."
)
@threads_option
@subject_options
@compile_options
@click.option(
    "-o",
    "--output",
    type=NewFile(),
    metavar="FILE.onnx",
    help="Model to write; MODEL.int8.onnx in this folder without it.",
)
@json_option
def command(
    model: str,
    max_loss_pct: float | None,
    data: Path | None,
    method: Method | None,
    random_data: bool,
    device: str,
    no_measure: bool,
    runs: int,
    threads: int | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    output: Path | None,
    as_json: bool,
) -> None:
    """Quantise an ONNX model to 8 bits after training, on real data, and compare it with float.

    Ends with exit code 6 where more is lost than --max-loss allows.

    \b
    edgetvm quantize vision/ppocr-det --data photos/ --max-loss 1%
    edgetvm quantize model.onnx --data inputs.npz --device my-rpi4
    """
    from edgetvm.base.errors import AccuracyError
    from edgetvm.cli.quantize_views import next_command, quantized_document, quantized_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.measure import Plan
    from edgetvm.report import warning_lines
    from edgetvm.workflow import compare, find_subject, find_target, quantize

    terminal = Terminal(as_json)
    target = find_target(device)
    compared = None
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        made = quantize(
            subject,
            output,
            data=data,
            max_loss_pct=max_loss_pct,
            method=method,
            made_up_data=random_data,
        )
        if not no_measure:
            compared = compare(subject, made, target, Plan(runs, threads=threads), options)
    shown = quantized_view(made, compared, next_command(made, target))
    terminal.result(quantized_document(made, compared), shown)
    if compared is None:
        return
    for line in warning_lines(compared.measurements) if compared.measurements else ():
        terminal.say(line)
    if not compared.within(max_loss_pct):
        raise AccuracyError(
            f"compiled, it loses {compared.loss_pct:.3g} % on {compared.device}, and --max-loss "
            f"allows {max_loss_pct:g} %",
            where=str(made.path),
            mend="allow more, or give a smaller --max-loss: then more layers stay in float",
        )
