"""Having a board: taken before the work, kept by a heartbeat, given back however the work ends."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgetvm.base.errors import BoardBusyError, LeaseLostError, StorageError
from edgetvm.base.steps import step
from edgetvm.base.units import format_duration
from edgetvm.base.words import in_vain, plural
from edgetvm.farm.leases import queueing
from edgetvm.farm.leases.lease import Lease, Offer, Request, Waiting
from edgetvm.farm.leases.store import LeaseStore
from edgetvm.farm.tracker_client import Address

_ASK_EVERY_S = 0.1
_BEAT_EVERY_S = 5.0
_BEATS_IN_TTL = 3
# Of the reasons why no board is to be had.
_TOLD = 4


class Held:
    """A lease and its heartbeat.

    Attributes:
        lease: as the last heartbeat found it.
    """

    def __init__(
        self, store: LeaseStore, lease: Lease, when_lost: Callable[[LeaseLostError], None] | None
    ) -> None:
        """Begin the heartbeat.

        Args:
            store: of the lease.
            lease: open.
            when_lost: is called once, by another thread, when the lease is found to be over.
        """
        self.lease = lease
        self._store, self._when_lost = store, when_lost
        self._lost: LeaseLostError | None = None
        self._over = threading.Event()
        # The lease counts from before the question that it was the answer to.
        self._until_s = time.monotonic() + lease.left_s
        self._thread = threading.Thread(target=self._beat, name=f"lease-{lease.token}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Go on only with the board in hand.

        Raises:
            LeaseLostError: it is over, or no heartbeat came through for as long as it lives.
        """
        if self._lost is not None:
            raise self._lost
        if time.monotonic() > self._until_s:
            raise LeaseLostError(
                "no heartbeat of its lease came through in time",
                where=f"board {self.lease.board}",
                mend="was this process paused, or the farm's database away? run it again",
            )

    def prove(self) -> None:
        """As `check`, by the database and not by the last heartbeat.

        Raises:
            LeaseLostError: as `check`.
            StorageError: the database cannot be used.
        """
        self.check()
        self._store.find(self.lease.token, self.lease.secret)

    def where(self) -> tuple[Address, str]:
        """Tracker and key of the board's server now.

        Raises:
            LeaseLostError: as `check`.
        """
        self.check()
        return self.lease.server

    def _beat(self) -> None:
        pause_s = usual_s = min(_BEAT_EVERY_S, self.lease.ttl_s / _BEATS_IN_TTL)
        while not self._over.wait(pause_s):
            began_s = time.monotonic()
            try:
                lease = self._store.beat(self.lease)
            except LeaseLostError as error:
                self._lost = error
                if self._when_lost is not None:
                    self._when_lost(error)
                return
            except StorageError:
                # The database may come back before the lease is over.
                pause_s = min(1.0, self.lease.ttl_s / 10)
                continue
            pause_s = usual_s
            self.lease, self._until_s = lease, began_s + lease.left_s

    def close(self) -> None:
        """Give the board back."""
        self._over.set()
        self._thread.join(timeout=30)
        where = f"board {self.lease.board}"
        self._lost = self._lost or LeaseLostError("its lease was given back", where=where)
        with contextlib.suppress(StorageError):  # it expires by itself
            self._store.end(self.lease)


def take(store: LeaseStore, request: Request, wait_s: float) -> Lease:
    """A board, as soon as it is this request's turn.

    Args:
        store: of the farm.
        request: for one board of several.
        wait_s: longest time to wait; 0 to be told at once.

    Raises:
        BoardBusyError: none became free in time; says who has them.
        NotFoundError: none of the boards is in the farm.
        StorageError: the database cannot be used.
    """
    until_s = time.monotonic() + wait_s
    try:
        found = store.ask(request)
        while not isinstance(found, Lease):
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise _busy(store, request, found, wait_s)
            time.sleep(min(left_s, _ASK_EVERY_S * random.uniform(0.5, 1.0)))  # noqa: S311
            found = store.ask(request, again=True)
    except BaseException:
        with contextlib.suppress(StorageError):
            store.withdraw(request)
        raise
    return found


def _busy(store: LeaseStore, request: Request, mine: Waiting, wait_s: float) -> BoardBusyError:
    farm = store.seen()
    holders = {lease.board: lease for lease in farm.leases}
    wanted = [offer for offer in farm.boards if offer.board in request.boards]
    told = [words for one in wanted if (words := _why_not(one, holders.get(one.board)))]
    earlier = queueing.before(mine.number, farm.waiting) if _is_in(mine, farm.waiting) else 0
    if earlier:
        told.append(f"{plural(earlier, 'request')} before this one")
    words = f": {'; '.join(told[:_TOLD])}" if told else ""
    more = f"; and {plural(len(told) - _TOLD, 'more reason')}" if len(told) > _TOLD else ""
    return BoardBusyError(
        f"no board {in_vain(wait_s)}{words}{more}",
        where=f"board {request.boards[0]}" if len(request.boards) == 1 else None,
        mend="wait longer with --wait, or see: edgetvm lease list",
    )


def _why_not(offer: Offer, holder: Lease | None) -> str:
    """Why a board is not to be had; nothing where only others come first."""
    if holder is not None:
        return f"{holder.owner} has {offer.board} for {format_duration(holder.age_s)}"
    health, why = offer.health
    if health == "good":
        return ""
    return f"{offer.board} is {health}" + (f": {why}" if why else "")


def _is_in(mine: Waiting, waiting: tuple[Waiting, ...]) -> bool:
    return any(one.number == mine.number for one in waiting)


@contextmanager
def held(
    store: LeaseStore,
    request: Request,
    wait_s: float = 0.0,
    when_lost: Callable[[LeaseLostError], None] | None = None,
) -> Iterator[Held]:
    """A board in hand for as long as the block lasts, with a heartbeat.

    Args:
        store: of the farm.
        request: for one board of several.
        wait_s: longest time to wait for it.
        when_lost: is called, by another thread, when the lease is over before the block.

    Raises:
        as `take`.
    """
    with step(f"wait for {' or '.join(request.boards)}") as this:
        mine = Held(store, take(store, request, wait_s), when_lost)
        this.detail = f"{mine.lease.board}, lease {mine.lease.token}"
    try:
        yield mine
    finally:
        mine.close()
