"""`edgetvm import`: what is in a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import Bound, compile_options, json_option, subject_options

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.command("import", short_help="Show what is in a model file.")
@click.argument("model", metavar="MODEL|RECIPE")
@subject_options
@compile_options
@click.option(
    "--check",
    is_flag=True,
    help="Compile for this machine and compare the answers with the source's own runtime.",
)
@click.option(
    "--inputs",
    "inputs_path",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Arrays by input name to check on too.",
)
@json_option
def command(
    model: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    check: bool,
    inputs_path: Path | None,
    as_json: bool,
) -> None:
    """Read a model and show what is in it, and what was changed on the way.

    With --check its answers are compared with the source's own runtime on random inputs, on the
    recipe's data and on those of --inputs. An answer that differs is exit code 6.
    """
    from edgetvm.base.errors import UsageError
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import model_document, model_view
    from edgetvm.package.gate import refusal
    from edgetvm.workflow import check_model, find_subject, read_inputs

    if inputs_path is not None and not check:
        raise UsageError("--inputs is for --check alone", mend="add --check")
    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        inputs = read_inputs(inputs_path) if inputs_path is not None else None
        loaded = subject.load()
        checks = check_model(loaded, subject.recipe, inputs, options=options) if check else ()
    terminal.result(model_document(loaded, checks), model_view(loaded, checks))
    for one in checks:
        if not one.passed:
            raise refusal(one, loaded.name, mend="report it, with the file if you can")
