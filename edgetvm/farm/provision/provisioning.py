"""Boards made ready, or as if they had never been, many at once."""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.farm.inventory import Board
from edgetvm.farm.provision.one_board import Order, Provisioned, Told, Tools, Work
from edgetvm.farm.ssh import Connection
from edgetvm.farm.together import Outcome, on_all


def provision(
    boards: Sequence[Board], order: Order | None = None, told: Told | None = None
) -> dict[str, Outcome[Provisioned]]:
    """Make boards ready, several at once. A second time it changes nothing.

    It goes on wherever an earlier run was stopped. A board whose new server does not do goes back
    to the one before.

    Args:
        boards: with SSH.
        order: what is to be done.
        told: is told of each board's progress, by threads.

    Returns:
        for each board by name what came of it.
    """
    order = order or Order()
    tools = Tools()

    def work(board: Board) -> Provisioned:
        with Connection(board, accept_new_host_key=order.accept_new_host_key) as connection:
            return Work(connection, order, tools, told).do()

    title = "ask boards" if order.dry_run else "remove" if order.remove else "provision"
    return on_all(title, boards, work)
