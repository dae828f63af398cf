"""`edgetvm devices`: the boards of the inventory."""

from __future__ import annotations

from typing import Any

import click

from edgetvm.cli.options import json_option

selection_argument = click.argument("selection", nargs=-1, metavar="[SELECTION]...")


@click.group("devices")
def command() -> None:
    """The boards of your inventory.

    SELECTION chooses some of them: names and globs (pi*), names of profiles, groups and tags, !NAME
    for all others, and conditions such as arch=aarch64, tag=lab,desk or mem>=4G.
    """


@command.command("list")
@selection_argument
@json_option
def list_command(selection: tuple[str, ...], as_json: bool) -> None:
    """Boards, and where they are."""
    from edgetvm.cli.devices_views import device_document, devices_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import load_inventory, parse_selection, select

    boards = select(parse_selection(" ".join(selection)), load_inventory())
    Terminal(as_json).result([device_document(board) for board in boards], devices_view(boards))


@command.command("show")
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """One board: all that the inventory says of it, its groups' words included."""
    from edgetvm.cli.devices_views import device_document, device_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board

    board = find_board(name)
    Terminal(as_json).result(device_document(board), device_view(board))


@command.command("add")
@click.argument("name")
@click.option("--profile", required=True, metavar="NAME", help="Its board profile.")
@click.option("--host", required=True, help="Name or address that its SSH server is reached at.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of its SSH server.")
@click.option("--user", help="Account there.")
@click.option("--key-file", metavar="FILE", help="Private key to log in with.")
@click.option("--jump", metavar="USER@HOST", help="Host that leads to it.")
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="Tag; repeatable.")
@json_option
def add_command(name: str, tags: tuple[str, ...], as_json: bool, **keys: Any) -> None:
    """Add a board to the inventory file. Its other lines stay as they are."""
    from edgetvm.cli.devices_views import device_document
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import add_board

    given = {key: value for key, value in keys.items() if value is not None}
    board, path = add_board(name, given | ({"tags": list(tags)} if tags else {}))
    Terminal(as_json).result(device_document(board), f"{name} is in {path}")


@command.command("power")
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off", "cycle", "status"]))
@json_option
def power_command(name: str, state: str, as_json: bool) -> None:
    """Switch the power of a board, or tell how it stands."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.farm.powering import set_power

    word = set_power(find_board(name), state)
    Terminal(as_json).result({"name": name, "power": word}, f"{name}: {word}")
