"""Whose turn it is: the larger priority first, then first come first served; waiting counts.

Plain functions of plain values: the store asks them inside its transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgetvm.farm.leases.lease import Waiting

# What has waited so long counts as one priority higher: nobody waits for ever.
AGEING_S = 60.0


def in_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Those that wait, the next one first."""
    return sorted(waiting, key=lambda one: (-(one.priority + one.waited_s / AGEING_S), one.number))


def board_for(number: int, waiting: Sequence[Waiting], free: Collection[str]) -> str | None:
    """The board that a request gets now; None where it has to wait.

    Each request before it takes the first free board of its own list.
    """
    left = set(free)
    for one in in_order(waiting):
        board = next((name for name in one.boards if name in left), None)
        if one.number == number:
            return board
        left.discard(board or "")
    return None


def before(number: int, waiting: Sequence[Waiting]) -> int:
    """How many that want one of the same boards go before a request."""
    order = in_order(waiting)
    mine = next(one for one in order if one.number == number)
    earlier = order[: order.index(mine)]
    return sum(bool(set(one.boards) & set(mine.boards)) for one in earlier)
