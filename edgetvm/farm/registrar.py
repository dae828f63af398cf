"""Keeps a board's place at a tracker from here, as TVM's own server does from the board.

The board's server serves one client at a time. It is offered to the next when the last has gone,
and its place is given up while the way to it is broken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from edgetvm.base.errors import EdgetvmError
from edgetvm.farm.tracker_client import Address, Place

# How often the tracker is asked what it still offers, and a free server whether it is there.
_ASK_EVERY_S = 1.0
_PROVE_EVERY_S = 5.0
# After a failure it is tried again after so long, then twice as long each time up to the limit.
_AGAIN_S = 0.2
_LONGEST_S = 5.0
# A client that was given the key and does not come in that time will not come.
_GRACE_S = 3.0
_END_S = 1.0


@dataclass(frozen=True)
class Offer:
    """What a tracker gives to a client.

    Attributes:
        key: that clients ask for.
        server: where they reach the board's server: this machine's end of a tunnel.
        secret: that lets them in there.
    """

    key: str
    server: Address
    secret: str

    @property
    def match_key(self) -> str:
        """The secret, as trackers want it: they find the board by what stands before its colon."""
        return f"{self.key}:{self.secret}"


class Registrar:
    """A place at a tracker, kept by a thread from the constructor until `close`.

    Args:
        tracker: to register with; it may come later, and go and come back.
        prove: raises EdgetvmError where the server does not answer; asked before each offer.

    Attributes:
        fault: why the board is not offered; None while it is.
    """

    def __init__(self, tracker: Address, prove: Callable[[], None], name: str) -> None:
        self._tracker, self._prove = tracker, prove
        self._lock = threading.Lock()
        self._sessions = 0
        self._expected_until_s = self._proven_s = 0.0
        self._offer: Offer | None = None
        self._changed = threading.Event()
        self._offered = threading.Event()
        self._ended = False
        self.fault: EdgetvmError | None = None
        self._thread = threading.Thread(target=self._keep, name=f"registrar {name}", daemon=True)
        self._thread.start()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Around each stream of a client through the tunnel."""
        with self._lock:
            self._sessions += 1
            self._expected_until_s = 0.0
        try:
            yield
        finally:
            with self._lock:
                self._sessions -= 1
            self._changed.set()

    def open(self, offer: Offer) -> None:
        """Offer the server: the way to it is there."""
        self._offered.clear()
        self._offer = offer
        self._changed.set()

    def withdraw(self) -> None:
        """Offer it no more: the way to it is broken."""
        self._offer = None
        self._changed.set()

    def wait(self, deadline_s: float) -> bool:
        """Wait until what was opened last is offered; False if it is not in time."""
        return self._offered.wait(deadline_s)

    def close(self) -> None:
        """Give the place up for good."""
        self._ended = True
        self._offer = None
        self._changed.set()
        self._thread.join(_END_S)

    def _keep(self) -> None:
        again_s = _AGAIN_S
        while not self._ended:
            try:
                if offer := self._offer:
                    self._prove_now()
                    again_s = _AGAIN_S
                    self._stay(offer)
            except EdgetvmError as error:
                self.fault = error
                again_s = min(2 * again_s, _LONGEST_S)
            self._rest(again_s)

    def _rest(self, longest_s: float) -> None:
        self._changed.wait(longest_s)
        self._changed.clear()

    def _stay(self, offer: Offer) -> None:
        """One connection with the tracker, for as long as the offer holds."""
        with closing(Place(self._tracker, offer.key, offer.server)) as place:
            self._expected_until_s = 0.0
            while self._offer is offer:
                self._turn(place, offer)
                self._rest(_ASK_EVERY_S)

    def _turn(self, place: Place, offer: Offer) -> None:
        """Offer the server if it is free, and not offered yet."""
        is_offered = offer.match_key in place.offered()
        now_s = time.monotonic()
        with self._lock:
            if self._sessions:
                return
            if is_offered:
                self._expected_until_s = now_s + _GRACE_S
            expects = now_s < self._expected_until_s
        if not expects or now_s > self._proven_s + _PROVE_EVERY_S:
            self._prove_now()
        if not expects:
            with self._lock:
                self._expected_until_s = time.monotonic() + _GRACE_S
            place.offer(offer.match_key)
            self._offered.set()

    def _prove_now(self) -> None:
        self._prove()
        self._proven_s, self.fault = time.monotonic(), None
