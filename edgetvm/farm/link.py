"""A board elsewhere, as if its server were here: SSH, a tunnel, and a place at a tracker.

One SSH connection for each board. What goes to the end of the tunnel on this machine's loopback
comes out at the board's server; this side registers that end with a tracker. A connection that
breaks is opened again, and the board's side of the broken one is ended there.
"""

from __future__ import annotations

import threading

from edgetvm.base.errors import (
    BoardLoginError,
    BoardTimeoutError,
    ConfigurationError,
    EdgetvmError,
    HostKeyError,
    LeaseLostError,
)
from edgetvm.farm.greeting import Greeting, greet
from edgetvm.farm.inventory import Board
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.registrar import Offer, Registrar
from edgetvm.farm.server_proof import prove_server
from edgetvm.farm.ssh import Connection, Deadlines, Tunnels
from edgetvm.farm.tracker_client import Address

# How often it is looked whether the connection is still the same, and how long after a failure
# another is tried.
_LOOK_EVERY_S = 0.2
_AGAIN_S = 2.0
_OFFER_DEADLINE_S = 30.0
_END_S = 1.0
# These stay as they are until somebody does something; a board may lock out who tries on and on.
_FOR_GOOD = (HostKeyError, BoardLoginError, LeaseLostError, ConfigurationError)


class Link:
    """The way to one board's server, from `open` until `close`.

    Not for a process that talks to the board by TVM's client. That holds Python's lock while it
    frees what is on the board, and waits for an answer, which then cannot come through. For such,
    `edgetvm.farm.linking` has links in a process of their own.

    Attributes:
        board: with the tracker that it is registered with, and its key there.
        connection: to the board; all may use it.
    """

    def __init__(self, board: Board, tracker: Address, deadlines: Deadlines | None = None) -> None:
        """Describe it.

        Raises:
            ConfigurationError: the inventory does not say how SSH reaches the board.
        """
        self.board = board.registered_with(tracker)
        self.connection = Connection(board, deadlines)
        self._tracker = tracker
        self._ended = threading.Event()
        self._fault: EdgetvmError | None = None
        self._greeting: Greeting | None = None
        self._transport: object = None
        self._tunnels = Tunnels(self.connection)
        self._registrar = Registrar(tracker, self._prove, board.name)
        port = self._tunnels.to_board(board.server_port, around=self._registrar.session)
        self._server = Address(LOOPBACK, port)
        self._thread = threading.Thread(target=self._watch, name=f"link {board.name}", daemon=True)

    def open(self, *, patient: bool = False) -> None:
        """Log in, greet the board, prove its server, and register it; from then on keep it so.

        Args:
            patient: where it fails, go on trying, and leave the reason in `fault`.

        Raises:
            BoardError: it cannot be reached, is not provisioned, is of another version, or its
                server does not answer; each with its mend.
            ConfigurationError: a key file or secret of the inventory cannot be used.
        """
        try:
            self._come_up()
            self._wait_until_registered()
        except EdgetvmError as error:
            if not patient:
                raise
            self._fault = error if self._transport is None else None
        self._thread.start()

    @property
    def fault(self) -> EdgetvmError | None:
        """Why the board cannot be had now; None while it can."""
        return self._fault or self._registrar.fault

    def close(self) -> None:
        """Give up the board's place, its tunnel and the connection."""
        self._ended.set()
        self.connection.end()
        self._registrar.close()
        self._tunnels.close()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _come_up(self) -> None:
        before = self._greeting
        greeting = greet(self.connection, before.process if before else None)
        transport = self.connection.current
        if before is not None and greeting.key != before.key:
            raise LeaseLostError(
                "its server has another key now: somebody else was given it, or provisioned it",
                where=f"board {self.board.name}",
                mend="run the same command again",
            )
        self._greeting = greeting
        self._prove()
        self._transport = transport
        self._registrar.open(Offer(self.board.key, self._server, greeting.key))

    def _prove(self) -> None:
        prove_server(self.connection, self.board.server_port)

    def _wait_until_registered(self) -> None:
        if not self._registrar.wait(_OFFER_DEADLINE_S):
            raise self._registrar.fault or BoardTimeoutError(
                f"it could not be registered with tracker {self._tracker} within "
                f"{_OFFER_DEADLINE_S:g} s",
                where=f"board {self.board.name}",
                mend="run the same command again",
            )

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            if self._transport is not None and self.connection.current is self._transport:
                continue
            self._registrar.withdraw()
            if not self._is_back():
                self._ended.wait(_AGAIN_S)

    def _is_back(self) -> bool:
        try:
            self._come_up()
        except EdgetvmError as error:
            self._fault = error
            if isinstance(error, _FOR_GOOD):
                self._tunnels.close()
                self._ended.set()
            return False
        self._fault = None
        return True
