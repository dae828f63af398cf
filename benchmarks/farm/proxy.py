"""A TCP proxy with the troubles of a network: late, slow, cut, silent in one direction or both."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_LOOPBACK = "127.0.0.1"
_PART = 4096


@dataclass(frozen=True)
class Trouble:
    """What befalls what goes through.

    Attributes:
        latency_s: added to each part, both ways.
        loss: share of parts that are as late as a retransmission.
        bytes_per_s: most that goes through each way; 0 for no limit.
        drops_up, drops_down: whether nothing reaches the server, or the client, and nobody is told.
        refuses: whether new connections are cut at once.
    """

    latency_s: float = 0.0
    loss: float = 0.0
    bytes_per_s: float = 0.0
    drops_up: bool = False
    drops_down: bool = False
    refuses: bool = False


NONE = Trouble()
# Of a retransmission.
_LOST_S = 0.2


class Proxy:
    """Listens on loopback and passes on to a port of it, as well as the trouble of the moment lets.

    Attributes:
        port: to connect to.
        target: where it leads; may be changed.
        trouble: of the moment.
    """

    def __init__(self, target: int = 0, port: int = 0) -> None:
        """Start it."""
        self.target, self.trouble = target, NONE
        self._listener = socket.create_server((_LOOPBACK, port))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        """Cut all connections the hard way, with RST."""
        for pair in list(self._pairs):
            for one in pair:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def having(self, trouble: Trouble) -> Iterator[None]:
        """Have a trouble for as long as the block lasts."""
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = NONE

    def close(self) -> None:
        """End it and what goes through."""
        self._over = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._over:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client:
            if self.trouble.refuses:
                return
            try:
                server = socket.create_connection((_LOOPBACK, self.target), 5)
            except OSError:
                return
            with server:
                server.settimeout(None)
                pair = client, server
                self._pairs.add(pair)
                try:
                    self._carry(client, server)
                finally:
                    self._pairs.discard(pair)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            for one in other:
                selector.register(one, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(1.0):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)  # noqa: S101 - for the type
                    data = source.recv(_PART)
                    if not data:
                        return
                    self._pass_on(other[source], data, up=source is client)

    def _pass_on(self, sink: socket.socket, data: bytes, up: bool) -> None:
        trouble = self.trouble
        if trouble.drops_up if up else trouble.drops_down:
            return
        late_s = trouble.latency_s
        if trouble.loss and random.random() < trouble.loss:  # noqa: S311 - it is noise
            late_s += _LOST_S
        if trouble.bytes_per_s:
            late_s += len(data) / trouble.bytes_per_s
        if late_s:
            time.sleep(late_s)
        sink.sendall(data)
