"""Boards whose servers stand, here or elsewhere, for as long as some work needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from edgetvm.base.errors import BoardError, LeaseLostError, TrackerUnreachableError
from edgetvm.farm.hands import WAIT_S, in_hand
from edgetvm.farm.inventory import Board
from edgetvm.farm.linking import all_linked
from edgetvm.farm.local import LocalBoard, own_tracker
from edgetvm.farm.session import BoardSession, connect
from edgetvm.farm.tracker_client import registered_keys


@contextmanager
def standing(board: Board, wait_s: float = WAIT_S, purpose: str = "") -> Iterator[Board]:
    """The board with its server reached.

    For `local` tracker and server are started, and ended after. A board that SSH leads to is linked
    (`edgetvm.farm.linking`) and registered with a tracker of its own. One whose `tracker` the
    inventory names is taken as it is.

    Where a farm serves the board, a lease of it is taken, and given back after.

    Args:
        wait_s: for a board of a farm that somebody else has.
        purpose: of the lease.

    Raises:
        BoardBusyError: somebody has it.
        BoardError: it cannot be had; says why and the mend.
        ConfigurationError: the inventory does not say how SSH reaches it.
    """
    with all_standing([board], wait_s, purpose) as (up,):
        yield up


@contextmanager
def all_standing(
    boards: Sequence[Board], wait_s: float = WAIT_S, purpose: str = ""
) -> Iterator[list[Board]]:
    """Several boards at once, as `standing`.

    Of several that SSH leads to, one that cannot be had is told in a warning, and may come later.

    Raises:
        BoardBusyError: somebody has all that a farm serves.
        BoardError: none of them can be had.
        ConfigurationError: the inventory does not say how SSH reaches one of them.
    """
    with ExitStack() as open_:
        mine = open_.enter_context(in_hand(boards, purpose=purpose, wait_s=wait_s))
        unserved = [one for one in mine if one.tracker is None]
        elsewhere = [one for one in unserved if not one.shares_cores]
        up: dict[int, Board] = {}
        if len(elsewhere) < len(unserved):
            local = open_.enter_context(LocalBoard()).board
            up |= {id(one): local for one in unserved if one.shares_cores}
        if elsewhere:
            tracker = open_.enter_context(own_tracker())
            links = open_.enter_context(all_linked(elsewhere, tracker=tracker))
            up |= {id(one): link for one, link in zip(elsewhere, links, strict=True)}
            _prove_hands(elsewhere)
        yield [up.get(id(one), one) for one in mine]


def _prove_hands(boards: Sequence[Board]) -> None:
    """See that the keys that were read there just now are of leases of this process.

    A board's key changes when its lease is over. Whoever learns of that late, from the next
    heartbeat, might have read that of the next holder.
    """
    for one in boards:
        if one.hand is not None:
            one.hand.prove()


def is_there(board: Board) -> bool:
    """Whether the board's server is registered with its tracker now."""
    try:
        there = board.now()
        return there.tracker is not None and there.key in registered_keys(there.tracker)
    except (TrackerUnreachableError, LeaseLostError):
        return False


def answers(board: Board) -> bool:
    """Whether the board, whose server was reached, begins a session now: it is asked once."""
    if not is_there(board):
        return False
    try:
        with connect(board):
            return True
    except BoardError:
        return False


@contextmanager
def connected(board: Board, purpose: str = "") -> Iterator[BoardSession]:
    """A session with any board, `local` included.

    Args:
        purpose: of the lease, where a farm serves the board.

    Raises:
        see `standing` and `connect`.
    """
    with standing(board, purpose=purpose) as up, connect(up) as session:
        yield session
