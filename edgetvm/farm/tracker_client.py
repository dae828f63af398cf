"""What edgetvm asks of a TVM RPC tracker, each with a deadline (the stock client waits for ever).

Protocol: apache-tvm 0.27, python/tvm/rpc/base.py and tracker.py. A 4-byte magic both ways, then
messages of a little-endian int32 length and JSON text.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import BoardBusyError, TrackerUnreachableError, UsageError

_MAGIC = struct.pack("<i", 0x2F271)
_REQUEST = 4
_SUMMARY = 6
_SUCCESS = 0
_MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Address:
    """A TCP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `HOST:PORT`.

        Raises:
            UsageError: not of that form.
        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(f"{text!r} is no address", mend="write HOST:PORT, as 127.0.0.1:9190")
        return cls(host, int(port))


class _Connection:
    def __init__(self, tracker: Address, deadline_s: float) -> None:
        self._until_s = time.monotonic() + deadline_s
        self._socket = socket.create_connection((tracker.host, tracker.port), deadline_s)
        self._socket.sendall(_MAGIC)
        if self._read(4) != _MAGIC:
            raise ConnectionError("something else than a tracker answers there")

    def close(self) -> None:
        self._socket.close()

    def ask(self, message: list[Any]) -> Any:
        data = json.dumps(message).encode()
        self._socket.sendall(struct.pack("<i", len(data)) + data)
        (size_bytes,) = struct.unpack("<i", self._read(4))
        if not 0 <= size_bytes <= _MAX_ANSWER_BYTES:
            raise ConnectionError("its answer is malformed")
        return json.loads(self._read(size_bytes))

    def _read(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            remaining_s = self._until_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            self._socket.settimeout(remaining_s)
            part = self._socket.recv(size_bytes - len(data))
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return data


@contextmanager
def _connected(tracker: Address, deadline_s: float) -> Iterator[_Connection]:
    mend = (
        f"start it (python -m edgetvm.farm.tracker --port {tracker.port}), or correct the inventory"
    )
    try:
        connection = _Connection(tracker, deadline_s)
    except (OSError, ConnectionError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error).lower()
        raise TrackerUnreachableError(
            f"the tracker does not answer: {reason}", where=str(tracker), mend=mend
        ) from error
    try:
        yield connection
    except (ConnectionError, struct.error, ValueError) as error:
        raise TrackerUnreachableError(
            f"the tracker broke off: {error}", where=str(tracker), mend=mend
        ) from error
    finally:
        connection.close()


def tracker_summary(tracker: Address, deadline_s: float = 5.0) -> dict[str, Any]:
    """The tracker's own summary: `queue_info` by key, and `server_info`.

    Raises:
        TrackerUnreachableError: nothing answers there, or not in time.
    """
    with _connected(tracker, deadline_s) as connection:
        try:
            code, summary = connection.ask([_SUMMARY])
        except TimeoutError as error:
            raise TrackerUnreachableError(
                "the tracker is silent", where=str(tracker), mend="restart it"
            ) from error
    if code != _SUCCESS or not isinstance(summary, dict):
        raise TrackerUnreachableError("its answer is malformed", where=str(tracker))
    return summary


def registered_keys(tracker: Address, deadline_s: float = 5.0) -> list[str]:
    """Keys of the servers that the tracker knows.

    Raises:
        TrackerUnreachableError: nothing answers there, or not in time.
    """
    servers = tracker_summary(tracker, deadline_s).get("server_info", [])
    return [str(server.get("key", "")).removeprefix("server:") for server in servers]


def request_board(tracker: Address, key: str, wait_s: float = 60.0) -> tuple[Address, str]:
    """Ask for a free server of that key.

    Returns:
        its address, and the match key that lets one client in.

    Raises:
        TrackerUnreachableError: nothing answers there.
        BoardBusyError: none became free in time.
    """
    with _connected(tracker, wait_s) as connection:
        try:
            answer = connection.ask([_REQUEST, key, "", 1])
        except TimeoutError as error:
            known = ", ".join(sorted(set(registered_keys(tracker)))) or "none"
            raise BoardBusyError(
                f"no board with key {key!r} became free within {wait_s:g} s",
                where=f"tracker {tracker}",
                mend=f"wait for it or check that its server runs; registered now: {known}",
            ) from error
        code, (host, port, match_key) = answer
        if code != _SUCCESS:
            raise ConnectionError("it refused the request")
    return Address(str(host), int(port)), str(match_key)
