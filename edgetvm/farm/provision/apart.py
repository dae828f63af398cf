"""A board kept apart from the farm that serves it: its server goes down for a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from edgetvm.base.errors import BoardBusyError
from edgetvm.farm.known_farm import is_farm_known

if TYPE_CHECKING:
    from edgetvm.farm.leases import Lease, LeaseStore

_PURPOSE = "provisioning"


@contextmanager
def apart_from_farm(board: str) -> Iterator[Callable[[], None]]:
    """Have a lease of a board, good or not, where a farm serves it: nobody is given it meanwhile.

    Where this process is killed, the lease expires as any other. Whoever has the board keeps it,
    unless that is the lease of `$EDGETVM_LEASE`. Maintenance that an admin began stays.

    Yields:
        what raises LeaseLostError where the lease is over, and nothing more is to be done.

    Raises:
        BoardBusyError: somebody has it.
        StorageError: the farm's database cannot be used.
    """
    if not is_farm_known():
        yield _go_on
        return
    from edgetvm.farm.leases import Held, Request
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        farm = store.look()
        holder = next((one for one in farm.leases if one.board == board), None)
        if board not in {one.board for one in farm.boards} or _is_mine(holder):
            yield _go_on
            return
        lease = store.take_apart(board, Request((board,), purpose=_PURPOSE))
        if lease is None:
            raise _taken(store, board)
        with closing(Held(store, lease, None)) as held:
            yield held.check


def _go_on() -> None:
    """Nothing stands against it."""


def _is_mine(lease: Lease | None) -> bool:
    from edgetvm.farm.leases.lease import VARIABLE, lease_of_words

    words = os.environ.get(VARIABLE)
    if not words or lease is None:
        return False
    return lease_of_words(words)[0] == lease.token


def _taken(store: LeaseStore, board: str) -> BoardBusyError:
    holder = next((one for one in store.seen().leases if one.board == board), None)
    who = holder.owner if holder else "somebody"
    purpose = f" for {holder.purpose}" if holder and holder.purpose else ""
    return BoardBusyError(
        f"{who} has it{purpose}, and its server would go down",
        where=f"board {board}",
        mend=f"wait for the end of that, or: edgetvm lease kick {board}",
    )
