"""`edgetvm devices`: the boards of the inventory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetvm.cli.options import NewFile, json_option

if TYPE_CHECKING:
    from edgetvm.farm import Board

selection_argument = click.argument("selection", nargs=-1, metavar="[SELECTION]...")


new_key_option = click.option(
    "--accept-new-host-key",
    is_flag=True,
    help="Note the host key of a board of which none is known. A changed one is refused all the "
    "same.",
)


@click.group("devices")
def command() -> None:
    """The boards of your inventory.

    SELECTION chooses some of them: names and globs (pi*), names of profiles, groups and tags, !NAME
    for all others, and conditions such as arch=aarch64, tag=lab,desk or mem>=4G.
    """


def _selected(selection: tuple[str, ...]) -> list[Board]:
    """The boards that are meant; all without a word."""
    from edgetvm.farm import find_boards, load_inventory

    return find_boards(" ".join(selection)) if selection else list(load_inventory().values())


@command.command("list")
@selection_argument
@json_option
def list_command(selection: tuple[str, ...], as_json: bool) -> None:
    """Boards, and where they are."""
    from edgetvm.cli.devices_views import device_document, devices_view
    from edgetvm.cli.terminal import Terminal

    boards = _selected(selection)
    Terminal(as_json).result([device_document(board) for board in boards], devices_view(boards))


@command.command("show", short_help="One board: all that the inventory says of it.")
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
@click.option("--profile", metavar="NAME", help="Its board profile; the board is asked without it.")
@click.option("--host", required=True, help="Name or address that its SSH server is reached at.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of its SSH server.")
@click.option("--user", help="Account there.")
@click.option("--key-file", metavar="FILE", help="Private key to log in with.")
@click.option("--jump", metavar="USER@HOST", help="Host that leads to it.")
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="Tag; repeatable.")
@new_key_option
@json_option
def add_command(
    name: str,
    profile: str | None,
    tags: tuple[str, ...],
    accept_new_host_key: bool,
    as_json: bool,
    **keys: Any,
) -> None:
    """Add a board to the inventory file. Its other lines stay as they are.

    Without --profile the board is asked what it is. The profile that fits is taken, or a new one is
    made from its answers.
    """
    from edgetvm.cli.devices_views import device_document, joined_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.joining import join

    given = {key: value for key, value in keys.items() if value is not None}
    terminal = Terminal(as_json)
    with terminal.steps():
        entry = given | ({"tags": list(tags)} if tags else {})
        joined = join(name, entry, profile, accept_new_host_key)
    terminal.result(device_document(joined.board), joined_view(joined))


@command.command("remove")
@click.argument("name")
@json_option
def remove_command(name: str, as_json: bool) -> None:
    """Take a board out of the inventory file. Its other lines stay as they are."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.adding import remove_board

    path = remove_board(name)
    Terminal(as_json).result({"name": name, "inventory": str(path)}, f"{name} is out of {path}")


@command.command("check", short_help="Ask boards whether they are there and can take packages.")
@selection_argument
@new_key_option
@json_option
@click.pass_context
def check_command(
    ctx: click.Context, selection: tuple[str, ...], accept_new_host_key: bool, as_json: bool
) -> None:
    """Ask boards whether they are there, are what their profiles say, and can take packages.

    Ends with 8 if one did not answer, or is of another kind than its profile.
    """
    from edgetvm.cli.devices_views import checked_document, checked_failures, checked_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.asking import check_board
    from edgetvm.farm.together import on_all

    terminal, boards = Terminal(as_json), _selected(selection)
    with terminal.steps():
        checked = on_all(
            "check boards", boards, lambda board: check_board(board, accept_new_host_key)
        )
    terminal.result(checked_document(checked), checked_view(checked))
    if failed := checked_failures(checked):
        terminal.failures(failed)
        ctx.exit(8)


@command.command("facts")
@selection_argument
@click.option("--raw", is_flag=True, help="The board's own answer, as it is: of one board.")
@new_key_option
@json_option
@click.pass_context
def facts_command(
    ctx: click.Context,
    selection: tuple[str, ...],
    raw: bool,
    accept_new_host_key: bool,
    as_json: bool,
) -> None:
    """What boards are and how they stand, told by themselves.

    Ends with 8 if one did not answer.
    """
    from edgetvm.cli.devices_views import facts_document, facts_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.asking import ask, facts_of
    from edgetvm.farm.together import failures, on_all

    terminal, boards = Terminal(as_json), _selected(selection)
    if raw:
        if len(boards) != 1:
            raise click.UsageError("--raw is of one board: name it")
        click.echo(ask(boards[0], accept_new_host_key), nl=False)
        return
    with terminal.steps():
        found = on_all("ask boards", boards, lambda board: facts_of(board, accept_new_host_key))
    terminal.result(facts_document(found), facts_view(found))
    if failed := failures(found):
        terminal.failures(failed)
        ctx.exit(8)


@command.command("profile")
@click.argument("name")
@click.option("--name", "profile", metavar="PROFILE", help="Of the profile; the board's without.")
@click.option("-o", "--output", type=NewFile(), metavar="FILE", help="To write, PROFILE.yaml.")
@new_key_option
@json_option
def profile_command(
    name: str, profile: str | None, output: Path | None, accept_new_host_key: bool, as_json: bool
) -> None:
    """Write a new board profile from what a board says of itself."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.farm.asking import facts_of
    from edgetvm.farm.joining import new_profile_file

    board = find_board(name)
    profile = profile or (output.stem if output else name.lower())
    path = new_profile_file(name, facts_of(board, accept_new_host_key), profile, output)
    Terminal(as_json).result(
        {"profile": profile, "path": str(path)}, f"{path} is written: look at its figures"
    )


@command.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...")
def ssh_subcommand(name: str, words: tuple[str, ...]) -> None:
    """Log in to a board with OpenSSH, or run a command there."""
    from edgetvm.farm import find_board
    from edgetvm.farm.ssh.openssh import ssh_command

    arguments = ssh_command(find_board(name), words)
    os.execv(arguments[0], arguments)  # noqa: S606 - no shell is wanted


@command.command("rekey")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rekey_command(name: str, yes: bool, as_json: bool) -> None:
    """Accept the new host key of a board that was installed anew."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.farm.rekeying import rekey

    board, terminal = find_board(name), Terminal(as_json)
    keys = rekey(board)
    if keys.changed:
        terminal.say(f"{name} shows {keys.shown}; known is {', '.join(keys.known) or 'none'}")
        if not yes:
            click.confirm("Is that the board's own key?", abort=True, err=True)
        rekey(board, keys.shown)
    words = "is known from now on" if keys.changed else "was known already"
    terminal.result({"name": name, "key": keys.shown, "changed": keys.changed}, f"{name}: {words}")


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
