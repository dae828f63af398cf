"""`edgetvm cache`: what can be made again."""

from __future__ import annotations

import click

from edgetvm.cli.options import json_option


@click.group("cache")
def command() -> None:
    """The cache of downloaded models and built packages."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Everything in the cache, with its size."""
    from edgetvm.base.cache import entries
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import cache_document, cache_view

    found = entries()
    Terminal(as_json).result(cache_document(found), cache_view(found))


@command.command("clear")
@click.argument("kind", required=False)
@json_option
def clear_command(kind: str | None, as_json: bool) -> None:
    """Remove all of it, or one KIND, as `edgetvm cache list` names them."""
    from edgetvm.base.cache import clear
    from edgetvm.base.units import format_bytes
    from edgetvm.cli.terminal import Terminal

    freed_bytes = clear(kind)
    Terminal(as_json).result({"freed_bytes": freed_bytes}, f"freed {format_bytes(freed_bytes)}")
