"""What people do with leases by hand."""

from __future__ import annotations

from edgetvm.base.errors import LeaseLostError, NotFoundError, UsageError
from edgetvm.farm.leases.lease import Lease, whoever_asks
from edgetvm.farm.leases.rows import no_such_board
from edgetvm.farm.leases.store import LeaseStore
from edgetvm.farm.selection import find_boards


def names_of(selection: str) -> tuple[str, ...]:
    """The boards of the inventory that are meant, or the one name as it is.

    A farm of other hosts may have boards that this host's inventory does not know.
    """
    try:
        return tuple(board.name for board in find_boards(selection))
    except NotFoundError:
        if "=" in selection or " " in selection:
            raise
        return (selection,)


def open_lease(store: LeaseStore, board: str) -> Lease:
    """The lease of a board.

    Raises:
        NotFoundError: the farm has no such board.
        LeaseLostError: nobody has it.
    """
    farm = store.look()
    found = next((one for one in farm.leases if one.board == board), None)
    if found is not None:
        return found
    if board not in {one.board for one in farm.boards}:
        raise no_such_board([board], [one.board for one in farm.boards])
    last = next((one for one in farm.ended if one.board == board), None)
    told = f"; the last lease, of {last.owner}, ended: {last.reason}" if last else ""
    raise LeaseLostError(f"nobody has it{told}", where=f"board {board}")


def release(store: LeaseStore, board: str) -> Lease:
    """Give back a board that this user has.

    Raises:
        UsageError: it is somebody else's.
        NotFoundError, LeaseLostError: see `open_lease`.
    """
    lease = open_lease(store, board)
    if lease.owner != whoever_asks():
        raise UsageError(
            f"{board} is in the hands of {lease.owner}",
            mend=f"if you must: edgetvm lease kick {board}",
        )
    store.end(lease)
    return lease


def kick(store: LeaseStore, board: str, reason: str) -> Lease:
    """End whoever's lease of a board, and tell him why.

    Raises:
        NotFoundError, LeaseLostError: see `open_lease`.
    """
    lease = open_lease(store, board)
    told = f"kicked by {whoever_asks()}" + (f": {reason}" if reason else "")
    store.end(lease, told)
    return lease
