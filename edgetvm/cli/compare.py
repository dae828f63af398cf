"""`edgetvm compare`: which is faster, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgetvm.cli.options import (
    Command,
    compile_options,
    json_option,
    store_option,
    threads_option,
    tuned_options,
    wait_option,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions

board_option = click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board of the inventory to measure on; local is this machine.",
)


def turn_options(command: Command) -> Command:
    """`--processes`, `--runs`, `--max-time`: how much is measured."""
    processes = click.option(
        "--processes",
        type=click.IntRange(2),
        default=10,
        show_default=True,
        metavar="N",
        help="Fresh processes of each side, in turns.",
    )
    runs = click.option(
        "--runs",
        type=click.IntRange(1),
        default=50,
        show_default=True,
        help="Timed runs in each process.",
    )
    longest = click.option(
        "--max-time",
        "max_s",
        type=click.FloatRange(0.1),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Begin no run after so long in a process.",
    )
    return processes(runs(longest(threads_option(command))))


@click.command("compare", short_help="Which of two models, packages or stored results is faster.")
@click.argument("names", nargs=-1, required=True, metavar="A B...")
@board_option
@wait_option
@turn_options
@compile_options
@tuned_options
@store_option("Where measurements are kept; the user's own file without it.")
@json_option
def command(
    names: tuple[str, ...],
    device: str,
    wait_s: float,
    processes: int,
    runs: int,
    max_s: float,
    threads: int | None,
    options: CompileOptions,
    schedules: Schedules,
    url: str | None,
    as_json: bool,
) -> None:
    """Compare B, and whatever else is named, with A: the ratio of medians, and how sure it is.

    Models, recipes and packages run in turns on one board, in a fresh process each time. Stored
    measurements are named by the ids that `edgetvm results list` shows: all good runs of the same
    packages count, and must be of the same board, clock governor and scenario.

    \b
    edgetvm compare old.edgetvm new.edgetvm --device my-rpi4
    edgetvm compare model.onnx model-int8.onnx
    """
    from edgetvm.base.errors import UsageError
    from edgetvm.boards import load_profile
    from edgetvm.cli.compare_views import contests_document, contests_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import find_board
    from edgetvm.measure import Store
    from edgetvm.workflow.comparing import Turn, compare_in_turns, compare_stored, is_stored

    if len(names) < 2:
        raise UsageError("there is nothing to compare it with", where=names[0], mend="name two")
    terminal = Terminal(as_json)
    store = Store(url)
    stored = [is_stored(name) for name in names]
    if all(stored):
        contests = compare_stored(names, store)
    elif any(stored):
        raise UsageError(
            "stored measurements are compared with stored ones only",
            where=names[stored.index(True)],
            mend="name two ids, or two models or packages",
        )
    else:
        board = find_board(device)
        with terminal.steps():
            tuned = schedules(load_profile(board.profile), options)
            turn = Turn(processes, runs, max_s, threads)
            contests = compare_in_turns(names, board, turn, tuned, options, wait_s, store)
    terminal.result(contests_document(contests), contests_view(contests))
