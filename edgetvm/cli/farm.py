"""`edgetvm farm`: boards that are served, proven and healed, for all who share them."""

from __future__ import annotations

import click

from edgetvm.cli.farm_emulate import command as emulate_command
from edgetvm.cli.options import json_option


@click.group("farm", short_help="Serve boards to all who share them: up, down, status.")
def command() -> None:
    """A daemon that serves the inventory's boards, proves them good and gets them back when they
    went. Who wants a board takes a lease: see edgetvm lease.

    Its state is in $EDGETVM_FARM, a database URL; without it in a file of the user's.
    """


command.add_command(emulate_command)


@command.command("up", short_help="Start the farm: all boards of the inventory, or some.")
@click.argument("selection", nargs=-1)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Of the tracker, on loopback; the one of before without it.",
)
@json_option
def up_command(selection: tuple[str, ...], port: int | None, as_json: bool) -> None:
    """Start the farm: all boards of the inventory, or those of a selection.

    `local`, this machine, is served only where it is named.
    """
    from edgetvm.cli.farm_views import farm_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.keeping.raising import boards_to_serve, up
    from edgetvm.farm.leases.document import farm_document

    terminal = Terminal(as_json)
    with terminal.steps():
        farm = up(boards_to_serve(selection), port or 0)
    terminal.result(farm_document(farm), farm_view(farm))


@command.command("down")
@json_option
def down_command(as_json: bool) -> None:
    """Stop this host's daemon. Leases stay, and are served again by the next."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.keeping.raising import down

    terminal = Terminal(as_json)
    with terminal.steps():
        down()
    terminal.result({"up": False}, "the farm is down; leases stay")


@command.command("status", short_help="Boards with their health, leases, and who waits.")
@json_option
def status_command(as_json: bool) -> None:
    """Boards with their health and the age of its proof, leases, and who waits."""
    from edgetvm.cli.farm_views import farm_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases.document import farm_document
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        farm = store.look()
    Terminal(as_json).result(farm_document(farm), farm_view(farm))


@command.command("maintain")
@click.argument("board")
@click.option("--reason", default="", metavar="TEXT", help="For those who see it.")
@json_option
def maintain_command(board: str, reason: str, as_json: bool) -> None:
    """Give a board to nobody until `resume`. Who has it may go on."""
    _maintained(board, reason, as_json, begins=True)


@command.command("resume")
@click.argument("board")
@json_option
def resume_command(board: str, as_json: bool) -> None:
    """End the maintenance of a board, or prove a bad one anew."""
    _maintained(board, "resumed", as_json, begins=False)


def _maintained(board: str, reason: str, as_json: bool, *, begins: bool) -> None:
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        store.maintain(board, reason, begins=begins)
    words = "is under maintenance" if begins else "will be proven, and given again"
    Terminal(as_json).result({"board": board, "maintenance": begins}, f"{board} {words}")


@command.command("serve")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8765,
    show_default=True,
    metavar="PORT",
    help="To listen on, on loopback.",
)
@click.option(
    "--token",
    envvar="EDGETVM_FARM_TOKEN",
    metavar="TOKEN",
    help="Lets who has it kick, maintain and resume on the page; without one it only shows.",
)
def serve_command(port: int, token: str | None) -> None:
    """Show the farm in a browser, live, on this machine's loopback. Ctrl-C ends it.

    Boards with the age of their last proof, leases, the queue, trials and results; as JSON at
    /api/farm. From elsewhere: ssh -L 8765:127.0.0.1:8765 HOST.
    """
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.known_farm import farm_url
    from edgetvm.workflow import serve_farm

    Terminal().say(f"http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    serve_farm(farm_url(), port, token)
