"""`edgetvm schema`: the JSON Schema of a format, for editors and readers of reports."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="Print the JSON Schema of a YAML format, or of reports.")
@click.argument(
    "name",
    type=click.Choice(
        ["profile", "inventory", "recipe", "pipeline", "experiment", "report", "experiment-report"]
    ),
)
def command(name: str) -> None:
    """Print the JSON Schema of a YAML format, for editors that complete and check as you type; or
    of the JSON that reports are written in, for programs that read it."""
    from edgetvm.workflow.schemas import schema

    click.echo(json.dumps(schema(name), indent=1))
