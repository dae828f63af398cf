"""`edgetvm farm emulate`: boards that this machine plays."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import click

from edgetvm.cli.options import NewFile, json_option

_ARCHITECTURES = ("x86_64", "aarch64", "armv7l")


@click.command("emulate", short_help="Play boards on this machine, until Ctrl-C.")
@click.option(
    "--boards",
    "count",
    type=click.IntRange(1, 200),
    default=3,
    show_default=True,
    metavar="N",
    help="How many.",
)
@click.option(
    "--arch",
    "architecture",
    type=click.Choice(_ARCHITECTURES),
    default="aarch64",
    show_default=True,
    help="Of the boards' programs; another than this machine's runs under QEMU.",
)
@click.option(
    "--inventory",
    type=NewFile(),
    metavar="FILE",
    help="Inventory file to write; one of a folder in /run without it.",
)
@json_option
def command(count: int, architecture: str, inventory: Path | None, as_json: bool) -> None:
    """Play boards on this machine, until Ctrl-C: to try edgetvm without one.

    Each has an OpenSSH server, a Debian of its own and an address that this machine reaches. Only
    root can. What is measured on them says nothing about real boards, and is marked so.
    """
    from edgetvm.cli.emulated_views import emulated_document, emulated_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm.emulating import emulated_boards
    from edgetvm.farm.emulating.inventory_of import refuse_another_file, written_inventory

    if inventory is not None:
        refuse_another_file(inventory)
    # What ends it from outside leaves as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    terminal = Terminal(as_json)
    with ExitStack() as stack:
        with terminal.steps():
            boards = stack.enter_context(emulated_boards(count, architecture))
        path = (inventory or boards[0].folder.parent / "boards.yaml").absolute()
        stack.enter_context(written_inventory(boards, path))
        try:
            terminal.result(emulated_document(boards, path), emulated_view(boards, path))
            signal.pause()
        except KeyboardInterrupt:
            terminal.say("ending the boards")
