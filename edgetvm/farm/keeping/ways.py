"""How the farm serves a board: what a keeper does with it, whatever kind of board it is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Protocol

from edgetvm.base.errors import BoardError, BoardTimeoutError
from edgetvm.farm.inventory import Board
from edgetvm.farm.listening import listening_socket
from edgetvm.farm.local import end, runtime_words, spawned
from edgetvm.farm.tracker_client import Address, registered_keys

# Starts a server of this machine that registers with a tracker, under a key.
Start = Callable[[Address, str], "subprocess.Popen[bytes]"]


class NotPossible(BoardError):
    """This kind of board has no such means."""


class Way(Protocol):
    """The way to one board's server.

    Every method may raise:
        BoardError: it did not work before the deadline.
        NotPossible: there is no such means.
    """

    @property
    def tracker(self) -> Address:
        """That the server registers with."""

    @property
    def is_up(self) -> bool:
        """Whether the server may be used, as far as can be told without a session."""

    def serve(self, key: str, deadline_s: float) -> str:
        """End the server and all its sessions, and have a new one registered under a new key.

        Returns:
            the key that it is registered under.
        """

    def resume(self, key: str, deadline_s: float) -> None:
        """Have a server under the key of a lease, where none is known of or it went."""

    def reconnect(self, deadline_s: float) -> None:
        """Open the connection to the board anew."""

    def end_strays(self, deadline_s: float) -> None:
        """End what sessions left behind on the board."""

    def reboot(self, deadline_s: float) -> None:
        """Start the board's system anew, and wait until it is another."""

    def power_cycle(self, deadline_s: float) -> None:
        """Switch the board off and on."""

    def close(self) -> None:
        """Give up the way; nothing is left running here."""


class WithoutMeans:
    """What a kind of board cannot do, for those to begin with that can do little."""

    why = "it is this machine"

    def reconnect(self, deadline_s: float) -> None:
        raise NotPossible(self.why)

    def end_strays(self, deadline_s: float) -> None:
        raise NotPossible(self.why)

    def reboot(self, deadline_s: float) -> None:
        raise NotPossible(self.why)

    def power_cycle(self, deadline_s: float) -> None:
        raise NotPossible(self.why)


class ServedHere(WithoutMeans):
    """A server of this machine: a process of its own, which ends with the daemon."""

    def __init__(self, board: Board, tracker: Address, start: Start | None = None) -> None:
        """Describe it; nothing is started.

        Args:
            board: its name is for errors.
            tracker: to register with.
            start: of the server; edgetvm's own in Python without it.
        """
        self.tracker = tracker
        self._board, self._start = board, start or server_in_python
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def serve(self, key: str, deadline_s: float) -> str:
        self.close()
        self._process = self._start(self.tracker, key)
        wait_until_registered(self, key, self._board.name, deadline_s)
        return key

    def resume(self, key: str, deadline_s: float) -> None:
        self.serve(key, deadline_s)

    def end_strays(self, deadline_s: float) -> None:
        if self._process is not None:
            _end_session(self._process.pid)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end_session(process.pid)
            end(process)


class ServedByOthers(WithoutMeans):
    """A server that somebody else started and looks after: it can be asked, and not be fenced.

    Its `tracker` and `key` stand in the inventory.
    """

    why = "somebody else looks after its server"
    is_up = True

    def __init__(self, board: Board, tracker: Address) -> None:
        """Describe it.

        Args:
            board: that has a tracker and a key in the inventory.
            tracker: the same.
        """
        self.tracker, self._key = tracker, board.key

    def serve(self, key: str, deadline_s: float) -> str:
        return self._key

    def resume(self, key: str, deadline_s: float) -> None:
        return

    def close(self) -> None:
        return


def _end_session(leader: int) -> None:
    """End all processes of a session, also those that have left its leader's process group."""
    import psutil

    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)


def server_in_python(tracker: Address, key: str) -> subprocess.Popen[bytes]:
    """edgetvm's own server for this machine."""
    words = ("--tracker", str(tracker), "--key", key, *runtime_words())
    with listening_socket() as listener:
        return spawned("server", listener, *words)


def wait_until_registered(way: Way, key: str, board: str, deadline_s: float) -> None:
    """Wait until a server has registered under a key.

    Raises:
        BoardError: it ended, or is late.
        TrackerUnreachableError: the tracker does not answer.
    """
    until_s = time.monotonic() + deadline_s
    while key not in registered_keys(way.tracker, 2.0):
        if not way.is_up:
            raise BoardError("its server ended", where=f"board {board}")
        if time.monotonic() > until_s:
            raise BoardTimeoutError(
                f"its server did not register within {deadline_s:g} s", where=f"board {board}"
            )
        time.sleep(0.05)
