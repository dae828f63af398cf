"""`edgetvm schema`: the JSON Schema of a YAML format, for editors."""

from __future__ import annotations

import json

import click


@click.command("schema", short_help="Print the JSON Schema of a YAML format.")
@click.argument("name", type=click.Choice(["profile", "inventory", "recipe", "experiment"]))
def command(name: str) -> None:
    """Print the JSON Schema of a YAML format, for editors that complete and check as you type."""
    from edgetvm.workflow.schemas import schema

    click.echo(json.dumps(schema(name), indent=1))
