"""One board's keeper: proves it, fences it after each lease, and gets it back when it went.

A thread of its own for each board: the trouble of one holds up no other.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import (
    BoardError,
    BoardLoginError,
    BoardNotProvisionedError,
    ConfigurationError,
    EdgetvmError,
    HostKeyError,
    TrackerUnreachableError,
)
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.ladder import BAD_PAUSE_S, GENTLE, LADDER, Rung
from edgetvm.farm.keeping.ways import NotPossible, Way
from edgetvm.farm.leases import Lease, LeaseStore, Offer, Proof
from edgetvm.farm.probing import probe
from edgetvm.farm.tracker_client import tracker_summary

LOG = logging.getLogger("edgetvm.farm")

# No means of the farm's helps: a board is bad at once, and not rebooted for it.
_FOR_PEOPLE = (BoardLoginError, BoardNotProvisionedError, ConfigurationError, HostKeyError)


@dataclass(frozen=True)
class Times:
    """Seconds.

    Attributes:
        proof_age_s: a free board is proven again after this.
        proof_s: that a proof may take.
        serve_s: until a new server is registered.
        lost_s: a lease whose board is away for so long is ended.
        bad_pause_s: before a bad board is tried again.
        again_s: before what has just failed is looked at again.
        look_s: a daemon looks at the farm this often,
        sign_s: and gives a sign of life this often, which also ends leases that are over.
    """

    proof_age_s: float = 20.0
    proof_s: float = 10.0
    serve_s: float = 30.0
    lost_s: float = 60.0
    bad_pause_s: float = BAD_PAUSE_S
    again_s: float = 1.0
    look_s: float = 0.25
    sign_s: float = 1.0


class Keeper:
    """Keeps one board, in a thread of its own."""

    def __init__(
        self,
        board: Board,
        way: Way,
        store: LeaseStore,
        times: Times | None = None,
        ladder: Sequence[Rung] = LADDER,
    ) -> None:
        """Describe it; nothing is done before `start`.

        Args:
            board: to keep; the store knows it.
            way: to it.
            store: of the farm.
            times: how patient it is.
            ladder: to get it back.
        """
        self.board, self.way = board, way
        self._store, self._times, self._ladder = store, times or Times(), ladder
        self._seen: tuple[Offer, Lease | None] | None = None
        self._news, self._over = threading.Condition(), threading.Event()
        self._away_since_s: float | None = None
        # When a bad board's turn is again.
        self._not_before_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"keeper-{board.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self, offer: Offer, lease: Lease | None) -> None:
        """Take note of how the board stands in the store."""
        with self._news:
            self._seen = offer, lease
            self._news.notify()

    def stop(self, deadline_s: float = 5.0) -> None:
        """End the thread, and what runs here for the board. Leases stay."""
        self._over.set()
        with self._news:
            self._news.notify()
        if self._thread.is_alive():
            self._thread.join(deadline_s)
        self.way.close()

    def _run(self) -> None:
        while not self._over.is_set():
            with self._news:
                self._news.wait_for(lambda: self._seen is not None or self._over.is_set())
                seen, self._seen = self._seen, None
            if seen is None:
                continue
            try:
                self._attend(*seen)
            except EdgetvmError as error:
                # The database, most likely.
                LOG.warning("%s: %s", self.board.name, error)
                self._over.wait(self._times.again_s)
            except Exception:
                LOG.exception("%s: the keeper failed, and goes on", self.board.name)
                self._over.wait(self._times.again_s)

    def _attend(self, offer: Offer, lease: Lease | None) -> None:
        if lease is not None:
            self._support(lease)
            return
        self._away_since_s = None
        if offer.verdict == "good" and offer.key is not None and self.way.is_up:
            if offer.age_s is None or offer.age_s > self._times.proof_age_s:
                self._prove_again(offer, offer.key)
        elif offer.verdict == "bad":
            if time.monotonic() >= self._not_before_s:
                self._get_back(GENTLE, "it was bad: tried again", offer)
        elif offer.verdict != "maintenance":
            self._get_back(self._ladder, offer.detail, offer)
        elif self.way.is_up:
            self._lock_out()

    def _support(self, lease: Lease) -> None:
        """Have the holder's server up, as long as there is hope."""
        if lease.key is None:
            self.way.close()  # he works on the board itself
            return
        if self.way.is_up:
            self._away_since_s = None
            return
        since_s = self._away_since_s = self._away_since_s or time.monotonic()
        try:
            self.way.resume(lease.key, self._times.serve_s)
            self._store.served_at(lease, self.way.tracker)
            LOG.info("%s: its server is there again, for lease %d", self.board.name, lease.token)
            self._away_since_s = None
        except EdgetvmError as error:
            away_s = time.monotonic() - since_s
            LOG.warning("%s: away for %.0f s: %s", self.board.name, away_s, error)
            if away_s > self._times.lost_s:
                self._store.end(lease, f"board lost: {error.what}")
            self._over.wait(self._times.again_s)

    def _lock_out(self) -> None:
        """Leave a board under maintenance without a server that a former holder could reach."""
        self.way.serve(self._new_key(), self._times.serve_s)
        self.way.close()

    def _new_key(self) -> str:
        return f"{self.board.name}-{secrets.token_hex(16)}"

    def _prove_again(self, offer: Offer, key: str) -> None:
        if not _is_free(self.way, key):
            # Given away a moment ago; or gone, if it stays so, and then the claim succeeds.
            self._over.wait(self._times.again_s)
            if not _is_free(self.way, key):
                self._get_back(self._ladder, "its server is not registered", offer)
            return
        try:
            facts = probe(self.way.tracker, key, self.board.name, self._times.proof_s)
        except BoardError as error:
            self._get_back(self._ladder, error.what, offer)
        else:
            self._store.proven(self.board.name, self._proof(key, facts), again=True)

    def _get_back(self, ladder: Sequence[Rung], why: str, seen: Offer) -> None:
        """Serve it anew and prove it; where that fails, go up the ladder.

        Not where the board is known otherwise by now than it was seen.
        """
        if not self._store.claim(self.board.name, why, seen.revision):
            return
        try:
            reason = self._climbed(ladder)
        except _FOR_PEOPLE as error:
            reason = f"{error.what} ({error.mend})" if error.mend else error.what
        except TrackerUnreachableError as error:
            # No board's fault: none is started anew for it.
            LOG.warning("%s: %s", self.board.name, error)
            self._store.worse(self.board.name, "unknown", error.what)
            self._over.wait(self._times.again_s)
            return
        if reason is not None and not self._over.is_set():
            LOG.error("%s: marked bad: %s", self.board.name, reason)
            self._not_before_s = time.monotonic() + self._times.bad_pause_s
            self._store.worse(self.board.name, "bad", reason)

    def _climbed(self, ladder: Sequence[Rung]) -> str | None:
        """Up to the rung that helps; answers with what is still wrong after the last."""
        reason = self._served_anew()
        for rung in ladder:
            if reason is None or self._over.is_set():
                break
            reason = self._climb(rung, reason)
        return reason

    def _climb(self, rung: Rung, reason: str) -> str | None:
        """Try one means; answers with what is still wrong that is the farm's to mend."""
        pause_s = rung.pause_s
        for count in range(1, rung.tries + 1):
            told = f"{rung.title} ({count} of {rung.tries})"
            LOG.warning("%s: %s, because: %s", self.board.name, told, reason)
            if not self._store.worse(self.board.name, "unknown", f"{told}: {reason}"):
                return None  # it is in somebody's hands by now
            try:
                rung.deed(self.way, rung.deadline_s)
            except NotPossible as error:
                LOG.info("%s: %s is left out: %s", self.board.name, rung.title, error.what)
                return reason
            except _FOR_PEOPLE:
                raise
            except EdgetvmError as error:
                LOG.warning("%s: %s failed: %s", self.board.name, told, error.what)
            else:
                found = self._served_anew()
                if found is None:
                    return None
                reason = found
            if count < rung.tries and self._over.wait(pause_s):
                break
            pause_s *= 2
        return reason

    def _served_anew(self) -> str | None:
        """A new server under a new key, and a proof: answers with what is wrong."""
        try:
            key = self.way.serve(self._new_key(), self._times.serve_s)
            facts = probe(self.way.tracker, key, self.board.name, self._times.proof_s)
        except (TrackerUnreachableError, *_FOR_PEOPLE):
            raise
        except EdgetvmError as error:
            return error.what
        self._store.proven(self.board.name, self._proof(key, facts))
        LOG.info("%s: proven good", self.board.name)
        return None

    def _proof(self, key: str, facts: dict[str, Any]) -> Proof:
        temperature_c = facts.get("temperature_c")
        return Proof(
            self.way.tracker, key, float(temperature_c) if temperature_c is not None else None
        )


def _is_free(way: Way, key: str) -> bool:
    """Whether a server waits at the tracker for the next session.

    A request that nobody answers stays in the tracker's queue after its asker left, and the next
    session is given to it: none is made that would have to wait.
    """
    try:
        queue = tracker_summary(way.tracker, 2.0).get("queue_info", {}).get(key, {})
        return int(queue.get("free", 0)) > 0
    except (BoardError, AttributeError, TypeError, ValueError):
        return False
