"""`edgetvm passes`: what is done at each optimisation level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import compile_options, json_option

if TYPE_CHECKING:
    from edgetvm.compile import CompileOptions


@click.command("passes", short_help="List what is done at an optimisation level.")
@compile_options
@json_option
def command(options: CompileOptions, as_json: bool) -> None:
    """List the levels, and the passes and schedule rules of one.

    \b
    edgetvm passes            of the usual level
    edgetvm passes -O 0       of a model compiled as it was imported
    """
    from edgetvm.cli.compile_views import passes_document, passes_view
    from edgetvm.cli.terminal import Terminal

    Terminal(as_json).result(passes_document(options), passes_view(options))
