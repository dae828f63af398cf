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


def release(store: LeaseStore, board: str) -> Lease:
    """Give back a board that this user has.

    Raises:
        UsageError: it is somebody else's.
        NotFoundError: the farm has no such board.
        LeaseLostError: nobody has it.
    """
    lease = next((one for one in store.look().leases if one.board == board), None)
    if lease is None:
        raise _nobody_has(store, board)
    if lease.owner != whoever_asks():
        raise UsageError(
            f"{board} is in the hands of {lease.owner}",
            mend=f"if you must: edgetvm lease kick {board}",
        )
    if not store.end(lease):
        raise _nobody_has(store, board)
    return lease


def kick(store: LeaseStore, board: str, reason: str) -> Lease:
    """End whoever's lease of a board, and tell him why.

    Raises:
        NotFoundError, LeaseLostError: see `release`.
    """
    told = f"kicked by {whoever_asks()}" + (f": {reason}" if reason else "")
    lease = store.kick(board, told)
    if lease is None:
        raise _nobody_has(store, board)
    return lease


def _nobody_has(store: LeaseStore, board: str) -> NotFoundError | LeaseLostError:
    """Why there is no lease of a board."""
    farm = store.seen()
    if board not in {one.board for one in farm.boards}:
        return no_such_board([board], [one.board for one in farm.boards])
    last = next((one for one in farm.ended if one.board == board), None)
    told = f"; the last lease, of {last.owner}, ended: {last.reason}" if last else ""
    return LeaseLostError(f"nobody has it{told}", where=f"board {board}")
