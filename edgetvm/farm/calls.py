"""Calls of TVM's client, which waits for ever: in a thread, waited for up to a deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TypeVar

from edgetvm.farm.tracker_client import Address

Result = TypeVar("Result")


def begun(work: Callable[[], Result], name: str) -> Future[Result]:
    """A call under way in a thread of that name."""
    future: Future[Result] = Future()
    # A daemon: a call that even a shut socket does not end must not hold up the end of Python.
    threading.Thread(target=_settle, args=(future, work), name=name, daemon=True).start()
    return future


def _settle(future: Future[Result], work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # it belongs to whoever waits
        future.set_exception(error)


def awaited(future: Future[Result], deadline_s: float) -> Result:
    """What a call gave.

    Raises:
        concurrent.futures.TimeoutError: it is not done in time; and what it raised itself.
    """
    # In short turns: a main thread that waits without end does not see Ctrl-C on every platform.
    until_s = time.monotonic() + deadline_s
    while True:
        remaining_s = until_s - time.monotonic()
        try:
            return future.result(timeout=min(max(remaining_s, 0.0), 0.5))
        except FutureTimeoutError:
            if future.done() or remaining_s <= 0:
                raise


def shut_sockets_to(address: Address) -> None:
    """Shut every socket of this process to an address, which ends the calls that wait there."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not entry.readlink().name.startswith("socket:"):
                continue
            with socket.fromfd(int(entry.name), socket.AF_INET, socket.SOCK_STREAM) as twin:
                if twin.getpeername()[:2] == (address.host, address.port):
                    twin.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
