"""A proxy that hands everything on late, as a slow network does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from edgetvm.farm import session
from edgetvm.farm.tracker_client import Address


@contextmanager
def slowed(delay_s: float) -> Iterator[None]:
    """Sessions with boards go through a proxy: each piece of data is so late, either way."""
    asked = session.request_board

    def request(tracker: Address, key: str, wait_s: float = 60.0) -> tuple[Address, str]:
        address, match_key = asked(tracker, key, wait_s)
        return _proxy(address, delay_s), match_key

    with patch.object(session, "request_board", request):
        yield


def _proxy(target: Address, delay_s: float) -> Address:
    """Where one connection is taken that leads to the target."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve() -> None:
        with server:
            near, _ = server.accept()
        far = socket.create_connection((target.host, target.port))
        for source, sink in ((near, far), (far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_hand_on, args=(source, sink, delay_s), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return Address("127.0.0.1", int(port))


def _hand_on(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    try:
        while data := source.recv(1 << 20):
            time.sleep(delay_s)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()
