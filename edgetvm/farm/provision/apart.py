"""A board kept apart from the farm that serves it: its server goes down for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgetvm.base.errors import BoardBusyError
from edgetvm.farm.known_farm import is_farm_known

if TYPE_CHECKING:
    from edgetvm.farm.leases import LeaseStore

# Tells our own maintenance, also of a run that was killed, from an admin's.
_REASON = "it is provisioned"


@contextmanager
def apart_from_farm(board: str) -> Iterator[None]:
    """Have a board under maintenance, where a farm serves it: it is given to nobody meanwhile.

    Whoever has it keeps it, unless that is the lease of `$EDGETVM_LEASE`. Maintenance that an admin
    began stays.

    Raises:
        BoardBusyError: somebody has it.
        StorageError: the farm's database cannot be used.
    """
    if not is_farm_known():
        yield
        return
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        offer = next((one for one in store.look().boards if one.board == board), None)
        if offer is None:
            yield
            return
        _refuse_if_held(store, board)
        if offer.verdict == "maintenance" and offer.detail != _REASON:
            yield
            return
        store.maintain(board, _REASON, begins=True)
        try:
            # It may have been given to somebody the moment before.
            _refuse_if_held(store, board)
            yield
        finally:
            store.maintain(board, "it was provisioned", begins=False)


def _refuse_if_held(store: LeaseStore, board: str) -> None:
    from edgetvm.farm.leases.lease import VARIABLE, lease_of_words

    words = os.environ.get(VARIABLE)
    mine = lease_of_words(words)[0] if words else None
    for lease in store.look().leases:
        if lease.board == board and lease.token != mine:
            purpose = f" for {lease.purpose}" if lease.purpose else ""
            raise BoardBusyError(
                f"{lease.owner} has it{purpose}, and its server would go down",
                where=f"board {board}",
                mend=f"wait for the end of that, or: edgetvm lease kick {board}",
            )
