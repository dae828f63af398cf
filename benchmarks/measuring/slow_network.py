"""A proxy that hands everything on late, as a slow network does."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

from edgetvm.farm import session
from edgetvm.farm.tracker_client import Address


@contextmanager
def slowed(delay_s: float) -> Iterator[None]:
    """Sessions with boards go through a proxy: each piece of data is so late, either way.

    The proxy is a process of its own: TVM's client may hold up all threads of its process.
    """
    asked, proxies = session.request_board, []
    context = multiprocessing.get_context("spawn")

    def request(tracker: Address, *how: Any) -> tuple[Address, str]:
        address, match_key = asked(tracker, *how)
        here, there = context.Pipe()
        target = (address.host, address.port)
        proxies.append(context.Process(target=_serve, args=(target, delay_s, there), daemon=True))
        proxies[-1].start()
        return Address("127.0.0.1", here.recv()), match_key

    try:
        with patch.object(session, "request_board", request):
            yield
    finally:
        for one in proxies:
            one.terminate()
            one.join()


def _serve(target: tuple[str, int], delay_s: float, told: Connection) -> None:
    """Take one connection, and hand on between it and the target."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        told.send(server.getsockname()[1])
        near, _ = server.accept()
    far = socket.create_connection(target)
    threads = [
        threading.Thread(target=_hand_on, args=(*pair, delay_s))
        for pair in ((near, far), (far, near))
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _hand_on(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while data := source.recv(1 << 20):
            time.sleep(delay_s)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()
