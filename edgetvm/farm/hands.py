"""Boards of a farm in this process's hands, for as long as some work lasts.

Where no farm serves a board nothing is taken: the work goes the same way with and without one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from edgetvm.base.errors import BoardBusyError, EdgetvmError, LeaseLostError
from edgetvm.base.steps import step
from edgetvm.base.words import in_vain, plural
from edgetvm.farm.inventory import Board, Hand
from edgetvm.farm.known_farm import is_farm_known
from edgetvm.farm.tracker_client import Address

if TYPE_CHECKING:
    from edgetvm.farm.leases import Held, Lease, LeaseStore
    from edgetvm.farm.leases.lease import Daemon

# For a board that somebody else has, unless it is said how long.
WAIT_S = 60.0
_AGAIN_S = 1.0


@contextmanager
def in_hand(
    boards: Sequence[Board], *, purpose: str = "", wait_s: float = WAIT_S
) -> Iterator[list[Board]]:
    """Have boards: those that a farm serves by a lease each, others as they are.

    Of several that a farm serves the work begins with the first that is had. The others come later,
    and each that is lost is taken again when it is to be had.

    Args:
        boards: to have.
        purpose: of the leases.
        wait_s: for the one board, or the first of several.

    Raises:
        BoardBusyError: none became free in time; says who has them.
        LeaseLostError: `$EDGETVM_LEASE` names a lease that is over.
        StorageError: the farm's database cannot be used.
    """
    if not is_farm_known() or all(board.hand is not None for board in boards):
        yield list(boards)
        return
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        served = _served(store)
        wanted = [one for one in boards if one.hand is None and one.name in served]
        if not wanted:
            yield list(boards)
            return
        with _had(store, wanted, purpose, wait_s) as hands:
            yield [
                _with_hand(one, served[one.name], hands[one.name]) if one.name in hands else one
                for one in boards
            ]


@contextmanager
def any_in_hand(
    boards: Sequence[Board], *, purpose: str = "", wait_s: float = WAIT_S
) -> Iterator[Board]:
    """Have one of several boards: the first that a farm gives; without a farm the first of all.

    Raises:
        as `in_hand`.
    """
    if not is_farm_known():
        yield boards[0]
        return
    from edgetvm.farm.leases import Request, held
    from edgetvm.farm.leases.finding import open_farm

    with open_farm() as store:
        served = _served(store)
        wanted = {one.name: one for one in boards if one.name in served}
        borrowed = _borrowed(store) if wanted else None
        if not wanted:
            yield boards[0]
        elif borrowed is not None and borrowed.board in wanted:
            name = borrowed.board
            yield _with_hand(wanted[name], served[name], borrowed)
        else:
            with held(store, Request(tuple(wanted), purpose=purpose), wait_s) as mine:
                name = mine.lease.board
                yield _with_hand(wanted[name], served[name], mine)


def _served(store: LeaseStore) -> dict[str, Daemon]:
    """Boards of daemons that are up, with these."""
    farm = store.seen()
    up = {daemon.name: daemon for daemon in farm.daemons if daemon.is_up}
    return {one.board: up[one.daemon] for one in farm.boards if one.daemon in up}


def _with_hand(board: Board, daemon: Daemon, hand: Hand) -> Board:
    """A board in hand. One of another host's daemon is reached from here without it."""
    if not daemon.is_here:
        return replace(board, hand=_FromAfar(hand))
    return replace(board, tracker=daemon.tracker, key="", hand=hand)


@contextmanager
def _had(
    store: LeaseStore, boards: Sequence[Board], purpose: str, wait_s: float
) -> Iterator[dict[str, Hand]]:
    found: dict[str, Hand] = {}
    borrowed = _borrowed(store)
    left = [one for one in boards if borrowed is None or one.name != borrowed.board]
    if borrowed is not None and len(left) < len(boards):
        found[borrowed.board] = borrowed
    with ExitStack() as open_:
        if len(boards) == 1 and left:
            from edgetvm.farm.leases import Request, held

            request = Request((left[0].name,), purpose=purpose)
            found[left[0].name] = open_.enter_context(held(store, request, wait_s))
        elif left:
            got = threading.Condition()
            several = [_Patient(store, one.name, purpose, got) for one in left]
            for one in several:
                open_.callback(one.close)
            if not found:
                _wait_for_first(several, got, wait_s)
            found |= {one.board: one for one in several}
        yield found


def _wait_for_first(hands: Sequence[_Patient], got: threading.Condition, wait_s: float) -> None:
    with step(f"wait for one of {plural(len(hands), 'board')}") as this:
        with got:
            got.wait_for(lambda: any(one.is_held for one in hands), wait_s)
        there = [one.board for one in hands if one.is_held]
        if not there:
            raise next((one.why for one in hands if one.why), None) or BoardBusyError(
                f"none of {', '.join(one.board for one in hands)} {in_vain(wait_s)}",
                mend="see who has them: edgetvm lease list",
            )
        this.detail = ", ".join(there)


class _FromAfar:
    """A lease of a board whose daemon's tracker is on another host's loopback."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def where(self) -> None:
        self._hand.where()

    def prove(self) -> None:
        self._hand.prove()


class _Borrowed:
    """The lease of `$EDGETVM_LEASE`; whoever took it keeps it."""

    def __init__(self, store: LeaseStore, lease: Lease) -> None:
        self._store, self._lease = store, lease
        self.board = lease.board

    def where(self) -> tuple[Address, str]:
        return self._store.find(self._lease.token, self._lease.secret).server

    def prove(self) -> None:
        self.where()


def _borrowed(store: LeaseStore) -> _Borrowed | None:
    from edgetvm.farm.leases.lease import VARIABLE, lease_of_words

    words = os.environ.get(VARIABLE)
    if not words:
        return None
    token, _, secret = lease_of_words(words)
    return _Borrowed(store, store.find(token, secret))


class _Patient:
    """A board that is taken when it is to be had, and again after it was lost."""

    def __init__(
        self, store: LeaseStore, board: str, purpose: str, got: threading.Condition
    ) -> None:
        self.board = board
        self.why: EdgetvmError | None = None
        self._store, self._purpose, self._got = store, purpose, got
        self._held: Held | None = None
        self._changed, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"hand {board}", daemon=True)
        self._thread.start()

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def where(self) -> tuple[Address, str]:
        held = self._held
        if held is None:
            raise LeaseLostError("it is not in hand now", where=f"board {self.board}")
        return held.where()

    def prove(self) -> None:
        """One that is lost is taken again."""
        held = self._held
        try:
            if held is not None:
                held.prove()
        except LeaseLostError as error:
            self._lose(error)

    def _keep(self) -> None:
        from edgetvm.farm.leases import Request, held

        while True:
            self._changed.clear()
            # In this order: `close` between the two must not be forgotten.
            if self._over.is_set():
                return
            request = Request((self.board,), purpose=self._purpose)
            try:
                with held(self._store, request, _AGAIN_S, self._lose) as mine:
                    self._held, self.why = mine, None
                    with self._got:
                        self._got.notify()
                    self._changed.wait()
                    self._held = None
            except EdgetvmError as error:
                self.why = error
                self._over.wait(_AGAIN_S)

    def _lose(self, error: LeaseLostError) -> None:
        self._held, self.why = None, error
        self._changed.set()

    def close(self) -> None:
        self._over.set()
        self._changed.set()
        self._thread.join(timeout=10)
