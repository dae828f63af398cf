"""`edgetvm run`: one run, with inputs of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import (
    Bound,
    NewFile,
    compile_options,
    json_option,
    mismatch_option,
    subject_options,
    threads_option,
)

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.command("run", short_help="Run a model or package once, with inputs of your own.")
@click.argument("model", metavar="PACKAGE|MODEL|RECIPE")
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board of the inventory to use; local is this machine.",
)
@click.option(
    "--inputs",
    "inputs_path",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Arrays by input name.",
)
@click.option(
    "--fill",
    "fill_mode",
    type=click.Choice(["zeros", "ones", "random"]),
    default="random",
    show_default=True,
    help="Inputs made up, where no file is given.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs.")
@click.option(
    "-o",
    "--output",
    type=NewFile(),
    metavar="FILE.npz",
    help="Write the outputs, arrays by name.",
)
@click.option(
    "--top",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Show the N largest elements of each output, with their places.",
)
@threads_option
@subject_options
@compile_options
@mismatch_option
@json_option
def command(
    model: str,
    device: str,
    inputs_path: Path | None,
    fill_mode: str,
    seed: int,
    output: Path | None,
    top: int,
    threads: int | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    allow_mismatch: bool,
    as_json: bool,
) -> None:
    """Run a model or package once on a board and show what it answers."""
    from typing import cast

    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import run_document, run_view
    from edgetvm.farm import find_board
    from edgetvm.models.fills import FillMode, fill
    from edgetvm.package import is_package, read_package
    from edgetvm.workflow import build, find_profile, find_subject, read_inputs, run, write_outputs

    terminal = Terminal(as_json)
    board = find_board(device)
    with terminal.steps():
        if model.endswith(".edgetvm") or is_package(Path(model)):
            _refuse_fixing(model, bool(shapes), bool(bindings))
            package = read_package(Path(model))
        else:
            subject = find_subject(model, dict(shapes), dict(bindings))
            profile = find_profile(board.profile)
            built = build(subject, profile, allow_mismatch=allow_mismatch, options=options)
            package = built.package
        signature = package.manifest.signature
        mode = cast(FillMode, fill_mode)
        if inputs_path is None:
            inputs = fill(signature, mode, seed)
        else:
            inputs = {**signature.initial_states(), **read_inputs(inputs_path)}
            signature.check_inputs(inputs)
        result = run(package, inputs, board, threads, allow_mismatch)
        if output is not None:
            write_outputs(output, result.outputs)
    terminal.result(run_document(result, output, top), run_view(result, output, top))


def _refuse_fixing(model: str, shapes: bool, bindings: bool) -> None:
    """A package's inputs are fixed already."""
    from edgetvm.base.errors import UsageError

    for is_given, option in ((shapes, "--shape"), (bindings, "--bind")):
        if is_given:
            raise UsageError(
                f"{option} is for models, and this is a package",
                where=model,
                mend=f"leave {option} out, or name the model",
            )
