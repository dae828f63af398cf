"""`edgetvm import`: what is in a model file."""

from __future__ import annotations

import click

from edgetvm.cli.options import json_option, subject_options


@click.command("import", short_help="Show what is in a model file.")
@click.argument("model", metavar="MODEL|RECIPE")
@subject_options
@click.option("--check", is_flag=True, help="Compile for this machine and compare the answers.")
@json_option
def command(
    model: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, int | float], ...],
    check: bool,
    as_json: bool,
) -> None:
    """Read a model and show its inputs, outputs, operators, and what was changed on the way."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import model_document, model_view
    from edgetvm.workflow import check_model, find_subject

    terminal = Terminal(as_json)
    with terminal.steps():
        loaded = find_subject(model, dict(shapes), dict(bindings)).load()
        correctness = check_model(loaded) if check else None
    terminal.result(model_document(loaded, correctness), model_view(loaded, correctness))
