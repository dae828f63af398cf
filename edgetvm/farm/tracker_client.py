"""What edgetvm asks of a TVM RPC tracker, each with a deadline (the stock client waits for ever).

Protocol: apache-tvm 0.27, python/tvm/rpc/base.py and tracker.py. A 4-byte magic both ways, then
messages of a little-endian int32 length and JSON text.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import BoardBusyError, TrackerUnreachableError, UsageError

_MAGIC = struct.pack("<i", 0x2F271)
_PUT = 3
_REQUEST = 4
_UPDATE_INFO = 5
_SUMMARY = 6
_PENDING_KEYS = 7
_SUCCESS = 0
_MAX_ANSWER_BYTES = 1 << 20
# A tracker greets at once; only a free board may be long in coming.
_GREETING_DEADLINE_S = 5.0
# How often who waits long looks up.
_LOOK_UP_S = 1.0
_MALFORMED = "its answer is malformed"

Meanwhile = Callable[[], object]


def _nothing() -> None:
    """Who waits has nothing else to look after."""


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
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
            raise UsageError(f"{text!r} is no address", mend="write HOST:PORT, as 127.0.0.1:9190")
        return cls(host, int(port))


class _Silent(Exception):
    """The tracker greeted, and gave no answer before the deadline."""


class _Connection:
    def __init__(self, tracker: Address, deadline_s: float) -> None:
        greeting_s = min(deadline_s, _GREETING_DEADLINE_S)
        self._until_s = time.monotonic() + greeting_s
        self._socket = socket.create_connection((tracker.host, tracker.port), greeting_s)
        try:
            self._socket.sendall(_MAGIC)
            if self._read(4) != _MAGIC:
                raise ConnectionError("something else than a tracker answers there")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def ask(self, message: list[Any], deadline_s: float, meanwhile: Meanwhile = _nothing) -> Any:
        data = json.dumps(message).encode()
        self._until_s = time.monotonic() + deadline_s
        try:
            self._socket.sendall(struct.pack("<i", len(data)) + data)
            (size_bytes,) = struct.unpack("<i", self._read(4, meanwhile))
            if not 0 <= size_bytes <= _MAX_ANSWER_BYTES:
                raise ValueError(_MALFORMED)
            return json.loads(self._read(size_bytes))
        except TimeoutError as error:
            raise _Silent from error

    def _read(self, size_bytes: int, meanwhile: Meanwhile = _nothing) -> bytes:
        data = b""
        while len(data) < size_bytes:
            remaining_s = self._until_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            self._socket.settimeout(min(remaining_s, _LOOK_UP_S))
            try:
                part = self._socket.recv(size_bytes - len(data))
            except TimeoutError:
                meanwhile()
                continue
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return data


def _unreachable(tracker: Address, reason: str) -> TrackerUnreachableError:
    return TrackerUnreachableError(
        f"the tracker does not answer: {reason}",
        where=str(tracker),
        mend=f"start it (python -m edgetvm.farm.tracker --port {tracker.port}), "
        "or correct the inventory",
    )


def _asked(
    tracker: Address, question: list[Any], deadline_s: float, meanwhile: Meanwhile = _nothing
) -> Any:
    """What the tracker answers.

    Raises:
        TrackerUnreachableError: nothing answers there, or something else than a tracker.
        _Silent: it greeted, and no answer came in time.
    """
    try:
        with closing(_Connection(tracker, deadline_s)) as connection:
            code, answer = connection.ask(question, deadline_s, meanwhile)
    except OSError as error:
        late = isinstance(error, TimeoutError)
        reason = "no answer in time" if late else (error.strerror or str(error)).lower()
        raise _unreachable(tracker, reason) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise _unreachable(tracker, _MALFORMED) from error
    if code != _SUCCESS:
        raise _unreachable(tracker, "it refuses the request")
    return answer


class Place:
    """A server's place at a tracker; it is given up with `close`.

    What a server of TVM says of itself from the board is said here on its behalf: the tracker
    keeps a place for as long as the connection of its server, so this one stays open.

    Every method, the constructor included, raises:
        TrackerUnreachableError: the tracker does not answer, or not in time.
    """

    def __init__(self, tracker: Address, key: str, server: Address) -> None:
        """Take a place.

        Args:
            tracker: to be registered with.
            key: that clients ask for.
            server: where clients reach it.
        """
        self._tracker, self._key, self._server = tracker, key, server
        try:
            self._connection = _Connection(tracker, _GREETING_DEADLINE_S)
        except OSError as error:
            raise _unreachable(tracker, str(error).lower() or "no answer in time") from error
        self._ask([_UPDATE_INFO, {"key": f"server:{key}", "addr": [server.host, server.port]}])

    def offer(self, match_key: str) -> None:
        """Let the tracker give one client the match key."""
        self._ask([_PUT, self._key, [self._server.port, match_key], self._server.host])

    def offered(self) -> list[str]:
        """The match keys that nobody was given yet."""
        return [str(one) for one in self._ask([_PENDING_KEYS])]

    def close(self) -> None:
        """Give the place up: nobody is sent to the server any more."""
        self._connection.close()

    def _ask(self, message: list[Any]) -> Any:
        try:
            return self._connection.ask(message, _GREETING_DEADLINE_S)
        except (OSError, ValueError, _Silent) as error:
            self.close()
            raise _unreachable(self._tracker, "the connection broke") from error


def tracker_summary(tracker: Address, deadline_s: float = 5.0) -> dict[str, Any]:
    """The tracker's own summary: `queue_info` by key, and `server_info`.

    Raises:
        TrackerUnreachableError: nothing answers there, or not in time.
    """
    try:
        summary = _asked(tracker, [_SUMMARY], deadline_s)
    except _Silent as error:
        raise _unreachable(tracker, "it is silent") from error
    if not isinstance(summary, dict):
        raise _unreachable(tracker, _MALFORMED)
    return summary


def registered_keys(tracker: Address, deadline_s: float = 5.0) -> list[str]:
    """Keys of the servers that the tracker knows.

    Raises:
        TrackerUnreachableError: nothing answers there, or not in time.
    """
    servers = tracker_summary(tracker, deadline_s).get("server_info", [])
    if not isinstance(servers, list) or not all(isinstance(server, dict) for server in servers):
        raise _unreachable(tracker, _MALFORMED)
    return [str(server.get("key", "")).removeprefix("server:") for server in servers]


def request_board(
    tracker: Address, key: str, wait_s: float = 60.0, meanwhile: Meanwhile = _nothing
) -> tuple[Address, str]:
    """Ask for a free server of that key.

    Args:
        tracker: that it is registered with.
        key: that it is registered under.
        wait_s: longest time to wait.
        meanwhile: is called every second; what it raises ends the waiting.

    Returns:
        its address, and the match key that lets one client in.

    Raises:
        TrackerUnreachableError: nothing answers there.
        BoardBusyError: none became free in time.
    """
    try:
        answer = _asked(tracker, [_REQUEST, key, "", 1], wait_s, meanwhile)
    except _Silent as error:
        known = ", ".join(sorted(set(registered_keys(tracker)))) or "none"
        raise BoardBusyError(
            f"no board with key {key!r} became free within {wait_s:g} s",
            where=f"tracker {tracker}",
            mend=f"wait for it or check that its server runs; registered now: {known}",
        ) from error
    try:
        host, port, match_key = answer
        return Address.parse(f"{host}:{port}"), str(match_key)
    except (UsageError, TypeError, ValueError) as error:
        raise _unreachable(tracker, _MALFORMED) from error
