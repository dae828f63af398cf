"""`edgetvm lease`: who has which board of the farm."""

from __future__ import annotations

import click

from edgetvm.cli.options import Duration, json_option

wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for a board that somebody has.",
)
purpose_option = click.option("--purpose", default="", metavar="TEXT", help="What for.")
priority_option = click.option(
    "--priority",
    type=click.IntRange(-100, 100),
    default=0,
    show_default=True,
    help="The larger goes first. What waits gains one every minute.",
)


@click.group("lease", short_help="Take, give back and list boards of the farm.")
def command() -> None:
    """A lease gives one user or job a board of the farm, and nobody else has it meanwhile.

    bench, run and tune take leases by themselves where a farm is up.
    """


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Boards, who has them, and who waits."""
    from edgetvm.cli.farm_views import farm_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases.document import farm_document
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        farm = store.look()
    Terminal(as_json).result(farm_document(farm), farm_view(farm))


@command.command("take")
@click.argument("board", metavar="BOARD|SELECTION")
@wait_option
@purpose_option
@priority_option
@click.option(
    "--for",
    "longest_s",
    type=Duration(),
    default="1h",
    show_default=True,
    help="Give it back by itself after so long.",
)
@json_option
def take_command(
    board: str, wait_s: float, purpose: str, priority: int, longest_s: float, as_json: bool
) -> None:
    """Take a board by hand, until it is released or the time is over.

    Prints what to export, so that the commands of a shell use it.
    """
    from dataclasses import asdict

    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases import Request, take
    from edgetvm.farm.leases.finding import open_farm
    from edgetvm.farm.leases.running import environment
    from edgetvm.farm.leases.taking import names_of

    terminal = Terminal(as_json)
    with open_farm() as store, terminal.steps():
        request = Request(
            names_of(board), purpose=purpose, priority=priority,
            ttl_s=longest_s, longest_s=longest_s,
        )  # fmt: skip
        lease = take(store, request, wait_s)
    variables = environment(lease)
    lines = [f"export {name}='{value}'" for name, value in variables.items()]
    terminal.say(f"{lease.board} is yours: lease {lease.token}")
    terminal.result({**asdict(lease), "environment": variables}, "\n".join(lines))


@command.command("release")
@click.argument("board")
@json_option
def release_command(board: str, as_json: bool) -> None:
    """Give back a board that you took by hand."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases.finding import open_farm
    from edgetvm.farm.leases.taking import release

    with open_farm() as store:
        lease = release(store, board)
    Terminal(as_json).result(
        {"board": board, "token": lease.token}, f"{board} is given back: lease {lease.token}"
    )


@command.command("kick")
@click.argument("board")
@click.option("--reason", default="", metavar="TEXT", help="That its holder is told.")
@json_option
def kick_command(board: str, reason: str, as_json: bool) -> None:
    """End somebody's lease of a board: his connection is cut."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases.finding import open_farm
    from edgetvm.farm.leases.taking import kick

    with open_farm() as store:
        lease = kick(store, board, reason)
    Terminal(as_json).result(
        {"board": board, "token": lease.token, "owner": lease.owner},
        f"{lease.owner} has {board} no more",
    )


@command.command(
    "run",
    short_help="Run a command with a board in hand.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("board", metavar="BOARD|SELECTION")
@wait_option
@purpose_option
@priority_option
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_context
def run_command(
    ctx: click.Context,
    board: str,
    wait_s: float,
    purpose: str,
    priority: int,
    words: tuple[str, ...],
) -> None:
    """Run a command with a board in hand, and give it back however that ends.

    The command finds the lease in $EDGETVM_LEASE. TVM's own tuner finds the board by
    $TVM_TRACKER_HOST, $TVM_TRACKER_PORT and $TVM_TRACKER_KEY.

    Ends with the exit code of the command, or with 8 where the lease was over before it.
    """
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.leases import Request
    from edgetvm.farm.leases.finding import open_farm
    from edgetvm.farm.leases.running import run_with_board
    from edgetvm.farm.leases.taking import names_of

    with open_farm() as store, Terminal().steps():
        request = Request(names_of(board), purpose=purpose or words[0], priority=priority)
        ctx.exit(run_with_board(store, request, words, wait_s))
