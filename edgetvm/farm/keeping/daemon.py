"""The farm's daemon: a tracker, a keeper for each board, and the leases that are over, ended.

    python -m edgetvm.farm.keeping.daemon --name HOST --boards a,b

All that must outlive it stands in the database.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from subprocess import Popen

from edgetvm.base.errors import EdgetvmError, TrackerUnreachableError
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.keeper import LOG, Keeper, Times
from edgetvm.farm.keeping.ladder import LADDER, Rung
from edgetvm.farm.keeping.linked_way import Linked
from edgetvm.farm.keeping.ways import ServedByOthers, ServedHere, Way
from edgetvm.farm.leases import LeaseStore, Offer
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.local import end, spawned
from edgetvm.farm.tracker_client import Address, registered_keys

_TRACKER_LOOK_S = 2.0
_TRACKER_STARTS_S = 30.0


class Tracker:
    """TVM's tracker in a process of its own, always at the same port, started anew when it ends."""

    def __init__(self, port: int = 0) -> None:
        """Start it.

        Args:
            port: to listen on; whichever is free with 0.

        Raises:
            OSError: another process has the port.
        """
        self._listener = listening_socket(port)
        self.address = Address(LOOPBACK, self._listener.getsockname()[1])
        self._start()

    def _start(self) -> None:
        self._process: Popen[bytes] = spawned("tracker", self._listener)
        self._next_look_s = time.monotonic()
        self._starts_until_s = self._next_look_s + _TRACKER_STARTS_S

    def look_after(self) -> None:
        """Start it anew if it ended, or answers nobody any more."""
        now_s, is_alive = time.monotonic(), self._process.poll() is None
        if is_alive and now_s < self._next_look_s:
            return
        if is_alive and (self._answers() or now_s < self._starts_until_s):
            self._next_look_s = time.monotonic() + _TRACKER_LOOK_S
            return
        LOG.warning("the tracker %s: started anew", "is silent" if is_alive else "ended")
        end(self._process)
        self._start()

    def _answers(self) -> bool:
        try:
            registered_keys(self.address, 2.0)
        except TrackerUnreachableError:
            return False
        self._starts_until_s = 0.0
        return True

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            TrackerUnreachableError: it does not.
        """
        while not self._answers():
            if time.monotonic() > self._starts_until_s:
                registered_keys(self.address, 2.0)
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        end(self._process)
        self._listener.close()


def way_to(board: Board, tracker: Address) -> Way:
    """The way that suits a board."""
    if board.tracker is not None:
        return ServedByOthers(board, board.tracker)
    return ServedHere(board, tracker) if board.shares_cores else Linked(board, tracker)


class Daemon:
    """Serves boards until it is stopped.

    Attributes:
        tracker: of the boards.
        keepers: by board.
    """

    def __init__(
        self,
        name: str,
        boards: Sequence[Board],
        store: LeaseStore,
        *,
        port: int = 0,
        way: Callable[[Board, Address], Way] = way_to,
        times: Times | None = None,
        ladder: Sequence[Rung] = LADDER,
    ) -> None:
        """Describe it.

        Args:
            name: of the daemon; two of one name would take each other's boards.
            boards: to serve.
            store: of the farm.
            port: of the tracker. With 0 that of the daemon before it, if it is free.
            way: to a board.
            times, ladder: see `Keeper`.
        """
        self._name, self._store = name, store
        self._boards = list(boards)
        # Unlike an event's `set`, its `put` may come in the middle of anything: from a signal.
        self._stops: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sign_at_s = 0.0
        self._times = times or Times()
        self.tracker = _tracker(port, store)
        self.keepers = {
            one.name: Keeper(one, way(one, self.tracker.address), store, self._times, ladder)
            for one in boards
        }

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            self.tracker.wait()
            told = [(one.name, one.profile) for one in self._boards]
            mine = self._store.enlist(self._name, told)
            for name in set(self.keepers) - set(mine):
                LOG.warning("%s is left out: another daemon serves it", name)
                del self.keepers[name]
            for keeper in self.keepers.values():
                keeper.start()
            LOG.info("%s serves %s", self._name, ", ".join(mine))
            while not self._is_stopped(self._times.look_s):
                self._look()
        finally:
            self._close()

    def _look(self) -> None:
        """Show the keepers how their boards stand; now and then, end the leases that are over."""
        try:
            self.tracker.look_after()
            if time.monotonic() >= self._sign_at_s:
                self._store.sign_on(self._name, self.tracker.address)
                self._sign_at_s = time.monotonic() + self._times.sign_s
            farm = self._store.seen()
        except (EdgetvmError, OSError) as error:
            # OSError: no process can be started now.
            LOG.warning("%s", error)
            return
        leases = {one.board: one for one in farm.leases}
        for offer in farm.boards:
            if offer.board not in self.keepers:
                continue
            if offer.daemon == self._name:
                self.keepers[offer.board].look(offer, leases.get(offer.board))
            else:
                self._leave(offer)

    def _leave(self, offer: Offer) -> None:
        """Give up a board that another daemon took over while this one was silent for long."""
        LOG.warning("%s is left: %s serves it now", offer.board, offer.daemon)
        keeper = self.keepers.pop(offer.board)
        threading.Thread(target=keeper.stop, daemon=True).start()

    def stop(self) -> None:
        """Have `run` come to its end; may be called in a signal's handler."""
        self._stops.put(None)

    def _is_stopped(self, within_s: float) -> bool:
        try:
            self._stops.get(timeout=within_s)
        except queue.Empty:
            return False
        return True

    def _close(self) -> None:
        stopping = [
            threading.Thread(target=keeper.stop, daemon=True) for keeper in self.keepers.values()
        ]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join(timeout=10)
        self.tracker.close()
        with contextlib.suppress(EdgetvmError):
            self._store.sign_off(self._name)
        LOG.info("%s serves no more; leases stay", self._name)


def _tracker(port: int, store: LeaseStore) -> Tracker:
    """At the port that was asked for, or else where holders of leases know it."""
    if port == 0:
        known = [one.tracker.port for one in store.seen().boards if one.tracker is not None]
        for before in dict.fromkeys(known):
            with contextlib.suppress(OSError):
                return Tracker(before)
    return Tracker(port)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    from edgetvm.farm.inventory import load_inventory
    from edgetvm.farm.known_farm import farm_url

    parser = argparse.ArgumentParser(prog="python -m edgetvm.farm.keeping.daemon")
    parser.add_argument("--name", required=True, help="of this daemon")
    parser.add_argument("--boards", required=True, help="names, with commas")
    parser.add_argument("--port", type=int, default=0, help="of the tracker, on loopback")
    told = parser.parse_args()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    inventory = load_inventory()
    try:
        with LeaseStore(farm_url()) as store:
            boards = [inventory[name] for name in told.boards.split(",")]
            daemon = Daemon(told.name, boards, store, port=told.port)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: daemon.stop())
            daemon.run()
    except (EdgetvmError, OSError) as error:
        LOG.error("%s", error)
        raise SystemExit(getattr(error, "exit_code", 1)) from error


if __name__ == "__main__":
    main()
