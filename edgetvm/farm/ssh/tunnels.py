"""Tunnels between this machine's loopback and a board's: nothing listens on a network.

A thread proves the connection alive by a round trip now and then, and opens it again when it is
not; streams of a connection that broke end, and new ones go through.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from edgetvm.base.errors import BoardError, EdgetvmError
from edgetvm.farm.listening import LOOPBACK, listening_socket
from edgetvm.farm.ssh.connection import Connection, end_channel
from edgetvm.farm.ssh.deadlines import Watch, watched

_PROOF_EVERY_S = 5.0
_PART_BYTES = 1 << 16
# After which a stream is taken again, where this process had no file or thread left for one.
_AGAIN_S = 0.1

Around = Callable[[], AbstractContextManager[None]]


class Tunnels:
    """Tunnels over one connection, until `close` or the end of `with`.

    Args:
        connection: to the board.
        proof_every_s: how often it is proven alive.
    """

    def __init__(self, connection: Connection, proof_every_s: float = _PROOF_EVERY_S) -> None:
        self._connection = connection
        self._proof_every_s = proof_every_s
        self._ended = threading.Event()
        self._lock = threading.Lock()
        # Ports of the board: where each leads here, and by which transport it was granted.
        self._leads_to: dict[int, int] = {}
        self._granted_by: dict[int, Any] = {}
        self._listeners: list[socket.socket] = []
        threading.Thread(target=self._keep, name="tunnels", daemon=True).start()

    def to_board(
        self,
        board_port: int,
        local_port: int = 0,
        around: Around = nullcontext,
    ) -> int:
        """Let programs of this machine reach a port of the board's loopback.

        Args:
            board_port: of the board.
            local_port: of this machine; the system chooses one where it is 0.
            around: is entered for each stream, for as long as that is open.

        Returns:
            the local port.

        Raises:
            BoardError: another program has the local port.
        """
        try:
            listener = listening_socket(local_port)
        except OSError as error:
            raise BoardError(
                f"port {local_port} of this machine is taken",
                where=f"board {self._connection.board.name}",
                mend="end the other program, or give the board another port",
            ) from error
        port = int(listener.getsockname()[1])
        self._listeners.append(listener)
        threading.Thread(
            target=self._accept, args=(listener, board_port, around), name="to board", daemon=True
        ).start()
        return port

    def from_board(self, board_port: int, local_port: int) -> int:
        """Let programs of the board reach a port of this machine's loopback.

        Args:
            board_port: of the board; it chooses one where it is 0.
            local_port: of this machine.

        Returns:
            the board's port.

        Raises:
            BoardError: the port is taken there, or sshd allows no tunnels; and what `Connection`
                raises.
        """
        with self._lock:
            transport = self._connection.transport()
            board_port = self._request(transport, board_port)
            self._leads_to[board_port] = local_port
            self._granted_by[board_port] = transport
        return board_port

    def close(self) -> None:
        """End all tunnels; the connection stays."""
        self._ended.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):  # closed before
                listener.shutdown(socket.SHUT_RDWR)
        for board_port, transport in list(self._granted_by.items()):
            # A connection that broke has none left, and one that hangs is no use to anybody.
            with contextlib.suppress(Exception), self._hung_up_late(transport):
                transport.cancel_port_forward(LOOPBACK, board_port)

    def __enter__(self) -> Tunnels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self) -> None:
        while not self._ended.wait(self._proof_every_s):
            # A board that is away is asked again next time.
            with contextlib.suppress(EdgetvmError), self._lock:
                self._connection.beat()
                self._renew(self._connection.transport())

    def _renew(self, transport: Any) -> None:
        """Ask a new connection for the tunnels that the old one had.

        The board may hold a port until it has noticed that the old one is gone: it is asked again.
        """
        for board_port, granted_by in list(self._granted_by.items()):
            if granted_by is not transport:
                with contextlib.suppress(BoardError):
                    self._request(transport, board_port)
                    self._granted_by[board_port] = transport

    def _request(self, transport: Any, board_port: int) -> int:
        import paramiko

        try:
            with self._hung_up_late(transport):
                return int(transport.request_port_forward(LOOPBACK, board_port, self._incoming))
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise BoardError(
                f"it does not let port {board_port} of its own lead here",
                where=f"board {self._connection.board.name}",
                mend="is the port taken there, or AllowTcpForwarding switched off?",
            ) from error

    def _hung_up_late(self, transport: Any) -> AbstractContextManager[Watch]:
        """Paramiko waits for the answer to a request for ever."""
        return watched(self._connection.deadlines.channel_s, transport.close)

    def _accept(self, listener: socket.socket, board_port: int, around: Around) -> None:
        with listener:
            while not self._ended.is_set():
                try:
                    self._take(listener.accept()[0], board_port, around)
                except (OSError, RuntimeError):
                    self._ended.wait(_AGAIN_S)

    def _take(self, stream: socket.socket, board_port: int, around: Around) -> None:
        try:
            threading.Thread(
                target=self._outgoing, args=(stream, board_port, around), daemon=True
            ).start()
        except RuntimeError:  # no thread is to be had
            stream.close()
            raise

    def _outgoing(self, stream: socket.socket, board_port: int, around: Around) -> None:
        with around():
            try:
                channel = self._connection.open_stream(LOOPBACK, board_port)
            except EdgetvmError:
                stream.close()  # as a port where nobody listens
                return
            # The board's end is a server: when that has said its last, nobody hears the client.
            _join(stream, channel, socket.SHUT_RDWR)

    def _incoming(self, channel: Any, _origin: Any, server: tuple[str, int]) -> None:
        """Called by paramiko's own thread, which must not wait."""
        threading.Thread(target=self._to_local, args=(channel, server[1]), daemon=True).start()

    def _to_local(self, channel: Any, board_port: int) -> None:
        try:
            stream = socket.create_connection((LOOPBACK, self._leads_to[board_port]), timeout=5)
        except (OSError, KeyError):
            end_channel(channel)
            return
        _join(stream, channel, socket.SHUT_WR)


def _join(stream: socket.socket, channel: Any, end: int) -> None:
    """Carry bytes both ways until both sides have said their last.

    Args:
        stream: to a program of this machine.
        channel: to one of the board.
        end: how the stream is shut when the board has said its last.
    """
    stream.settimeout(None)
    back = threading.Thread(target=_carry_back, args=(channel, stream, end), daemon=True)
    back.start()
    with contextlib.suppress(OSError, EOFError):
        while part := stream.recv(_PART_BYTES):
            channel.sendall(part)
        channel.shutdown_write()
    back.join()
    end_channel(channel)
    stream.close()


def _carry_back(channel: Any, stream: socket.socket, end: int) -> None:
    with contextlib.suppress(OSError, EOFError):
        while part := channel.recv(_PART_BYTES):
            stream.sendall(part)
    # The channel may have broken: a stream that still waits for its client must end as well.
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR if channel.closed else end)
