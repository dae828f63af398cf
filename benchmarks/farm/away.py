"""A tracker that can be away for long, and servers that find back to it in three ways."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.farm.program_boards import program_server, served
from edgetvm.base.errors import BoardBusyError, BoardError
from edgetvm.farm.keeping.ways import server_in_python
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.local import end
from edgetvm.farm.probing import probe
from edgetvm.farm.registrar import Offer, Registrar
from edgetvm.farm.tracker_client import Address, registered_keys

KEYS = ("program", "python", "registrar")
_STARTS_S = 60.0


class AwayTracker:
    """TVM's tracker as somebody starts it by hand, always at the same port.

    Attributes:
        address: of it.
    """

    def __init__(self) -> None:
        """Start it."""
        with listening_socket() as listener:
            self.address = Address(LOOPBACK, listener.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self.come()

    def come(self) -> None:
        """Start it."""
        words = [sys.executable, "-m", "edgetvm.farm.tracker", "--port", str(self.address.port)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def go(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            end(process)


@contextmanager
def tracker_and_servers(folder: Path) -> Iterator[AwayTracker]:
    """The tracker, and a server for each of `KEYS`: edgetvm's program, its server in Python, and
    one that does not know of the tracker and is registered from here.

    Args:
        folder: for their files.

    Raises:
        BoardError: they do not come up.
    """
    folder.mkdir()
    tracker, secret = AwayTracker(), secrets.token_hex(16)
    with ExitStack() as stack:
        stack.callback(tracker.go)
        in_c = program_server(folder / "program")(tracker.address, "program")
        stack.callback(end, in_c)
        stack.callback(end, server_in_python(tracker.address, "python"))
        process, port = served(folder / "registrar", ["--key", secret])
        stack.callback(end, process)
        registrar = Registrar(tracker.address, lambda: None, "registrar")
        stack.enter_context(closing(registrar))
        registrar.open(Offer("registrar", Address(LOOPBACK, port), secret))
        back_s(tracker, _STARTS_S)
        yield tracker


def back_s(tracker: AwayTracker, deadline_s: float) -> float:
    """How long it takes until a session with each server goes well.

    Raises:
        BoardBusyError: one is not back in time.
    """
    began_s = time.monotonic()
    for key in KEYS:
        while not _serves(tracker.address, key):
            if time.monotonic() - began_s > deadline_s:
                raise BoardBusyError(f"no session with it within {deadline_s:g} s", where=key)
            time.sleep(0.1)
    return time.monotonic() - began_s


def _serves(tracker: Address, key: str) -> bool:
    try:
        # A request in vain stays in the tracker's queue, and would be given the next session.
        return key in registered_keys(tracker, 2.0) and bool(probe(tracker, key, key))
    except BoardError:
        return False
