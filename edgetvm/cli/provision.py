"""`edgetvm provision`: boards made ready over SSH."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.cli.devices import new_key_option, selection_argument
from edgetvm.cli.options import NewFile, json_option

if TYPE_CHECKING:
    from edgetvm.farm import Board


@click.command("provision", short_help="Bring boards the program that runs packages there.")
@selection_argument
@click.option("--dry-run", is_flag=True, help="Tell for each step what would be done; do nothing.")
@click.option("--remove", is_flag=True, help="Leave nothing of edgetvm on them.")
@click.option(
    "--record",
    type=NewFile(),
    metavar="FILE",
    help="Write one board's own answer, for a report or a test, and do nothing else. It holds no "
    "secret.",
)
@new_key_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    selection: tuple[str, ...],
    dry_run: bool,
    remove: bool,
    record: Path | None,
    accept_new_host_key: bool,
    as_json: bool,
) -> None:
    """Bring boards the program that runs packages there, and have its server run.

    Needs SSH to them, as root or with sudo that asks no password; without SELECTION it means all
    boards that have SSH. What is there already is left as it is: a second run changes nothing, and
    one that was stopped is gone on with. A board whose new server does not do goes back to what was
    there before.

    Ends with 8 if a board failed; where all that failed did for the same reason, with that
    reason's code.
    """
    from edgetvm.cli.provision_views import (
        LiveProvisioning,
        exit_code,
        provisioned_document,
        provisioned_view,
    )
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.provision import Order, provision
    from edgetvm.farm.together import failures

    terminal, boards = Terminal(as_json), _selected(selection)
    if record:
        _record(boards, record, accept_new_host_key)
        terminal.result({"recorded": str(record)}, f"{record} is written")
        return
    order = Order(remove, dry_run, accept_new_host_key)
    with terminal.steps():
        done = provision(boards, order, LiveProvisioning(terminal, boards))
    terminal.result(provisioned_document(done), provisioned_view(done, order))
    terminal.failures(failures(done))
    ctx.exit(exit_code(done))


def _selected(selection: tuple[str, ...]) -> list[Board]:
    """The boards that are meant; without a word all that SSH reaches."""
    from edgetvm.base.errors import NotFoundError
    from edgetvm.farm import find_boards, load_inventory
    from edgetvm.farm.inventory import inventory_path

    if selection:
        return find_boards(" ".join(selection))
    boards = [board for board in load_inventory().values() if board.login]
    if not boards:
        raise NotFoundError(
            f"no board in {inventory_path()} has a `host`", mend="add one: edgetvm devices add"
        )
    return boards


def _record(boards: list[Board], path: Path, accept_new_host_key: bool) -> None:
    from edgetvm.base.files import write_bytes
    from edgetvm.farm.provision.root import ask
    from edgetvm.farm.ssh import Connection

    if len(boards) != 1:
        raise click.UsageError("--record is of one board: name it")
    with Connection(boards[0], accept_new_host_key=accept_new_host_key) as connection:
        write_bytes(path, ask(connection).encode())
