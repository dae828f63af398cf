"""A farm of boards that run edgetvm's C program on this machine, and means to disturb them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from real_board import within

from benchmarks.farm.program_boards import PROFILE, ProgramBoard
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.daemon import Daemon
from edgetvm.farm.keeping.keeper import Times
from edgetvm.farm.keeping.ladder import Rung
from edgetvm.farm.keeping.ways import Way
from edgetvm.farm.leases import Lease, LeaseStore, Offer
from edgetvm.farm.tracker_client import Address

# So that a test need not wait for what takes a minute in a farm.
QUICK = Times(
    proof_age_s=0.5, proof_s=2.0, serve_s=3.0, lost_s=1.0, bad_pause_s=1.0,
    again_s=0.2, look_s=0.05, sign_s=0.1,
)  # fmt: skip
LADDER = (
    Rung("reconnect", lambda way, deadline_s: way.reconnect(deadline_s), 5, 1, 0.1),
    Rung("restart the server", lambda way, deadline_s: None, 5, 2, 0.1),
    Rung("end stray processes", lambda way, deadline_s: way.end_strays(deadline_s), 5, 1, 0.1),
    Rung("reboot", lambda way, deadline_s: way.reboot(deadline_s), 5, 1, 0.1),
)


class ServedFarm:
    """A daemon in a thread of the test, and its database.

    Attributes:
        daemon: under way.
        store: of its leases.
    """

    def __init__(self, daemon: Daemon, store: LeaseStore) -> None:
        self.daemon, self.store = daemon, store

    def offer(self, board: str) -> Offer:
        """How a board is."""
        (found,) = [one for one in self.store.seen().boards if one.board == board]
        return found

    def is_settled(self) -> bool:
        """Whether all boards are known to be good or bad."""
        found = self.store.seen().boards
        settled = {one.board for one in found if one.verdict != "unknown"}
        return settled >= set(self.daemon.keepers)

    def is_good(self, board: str) -> bool:
        """Whether a board may be given away now."""
        return self.offer(board).verdict == "good" and self.lease_of(board) is None

    def lease_of(self, board: str) -> Lease | None:
        """The open lease of a board."""
        return next((one for one in self.store.look().leases if one.board == board), None)

    def server_of(self, board: str) -> psutil.Process:
        """The process of a board's server; its children are sessions."""
        way = self.daemon.keepers[board].way
        shell = psutil.Process(way._process.pid)  # type: ignore[attr-defined]
        (server,) = [one for one in shell.children() if one.name() == "edgetvm-board"]
        return server


@contextmanager
def served_farm(
    folder: Path,
    names: Sequence[str] = ("a", "b"),
    *,
    url: str | None = None,
    way: Callable[[Board, Address], Way] | None = None,
    times: Times = QUICK,
    settled: bool = True,
) -> Iterator[ServedFarm]:
    """A farm whose boards are all good, or bad; or, if not `settled`, about to be."""

    def here(board: Board, tracker: Address) -> Way:
        return ProgramBoard(board, tracker, folder)

    boards = [Board(name, PROFILE) for name in names]
    with LeaseStore(url or f"sqlite:///{folder}/farm.sqlite") as store:
        daemon = Daemon("test", boards, store, way=way or here, times=times, ladder=LADDER)
        thread = threading.Thread(target=daemon.run, daemon=True)
        thread.start()
        farm = ServedFarm(daemon, store)
        try:
            assert not settled or within(20, farm.is_settled)
            yield farm
        finally:
            daemon.stop()
            thread.join(20)
            assert not thread.is_alive()
            for keeper in daemon.keepers.values():
                if isinstance(keeper.way, ProgramBoard):
                    keeper.way.finish()


def stop_tree(process: psutil.Process, number: signal.Signals) -> None:
    """Send a signal to a process and all below it."""
    for one in [*process.children(recursive=True), process]:
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue
