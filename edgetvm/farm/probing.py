"""Proof that a board serves: a whole session with its server, in which it tells of itself.

A bare connection proves nothing: TVM's own server takes one that says nothing for a client, and
waits. The client here is none of TVM's, which waits for ever and may take its process with it: a
daemon asks many boards, for months. Protocol: apache-tvm 0.27, src/runtime/rpc/rpc_endpoint.cc.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import closing
from typing import Any

from edgetvm.base.errors import BoardError, BoardGoneError, BoardTimeoutError
from edgetvm.farm.tracker_client import Address, request_board

_MAGIC = 0xFF271
_PROTOCOL = b"0.8.0"
_SHUTDOWN, _INIT, _CALL, _RETURN, _EXCEPTION, _FUNCTION = 1, 2, 3, 4, 5, 9
_INT, _POINTER, _RAW_TEXT, _RAW_BYTES, _BYTES = 1, 4, 8, 9, 66
_MOST_BYTES = 1 << 20


def probe(tracker: Address, key: str, board: str, deadline_s: float = 10.0) -> dict[str, Any]:
    """Have a session with a board's server, and give it back.

    Args:
        tracker: that the server is registered with.
        key: that it is registered under.
        board: its name, for errors.
        deadline_s: for all of it.

    Returns:
        what the board says of itself: see `board_service.facts`.

    Raises:
        TrackerUnreachableError, BoardBusyError: the server is not registered, or is busy.
        BoardGoneError: it ends the connection, or speaks otherwise.
        BoardTimeoutError: it is late.
    """
    from edgetvm.farm.board_service import decode, encode

    until_s = time.monotonic() + deadline_s
    # A place that was given and not taken is lost for ten seconds: have time to take it.
    address, match_key = request_board(tracker, key, deadline_s / 2)
    try:
        with closing(_Session(address, until_s)) as session:
            session.begin(match_key, deadline_s)
            function = session.function("edgetvm.facts")
            header, _ = decode(session.call(function, encode({}, b"")))
            session.end()
    except TimeoutError as error:
        raise BoardTimeoutError(
            f"its server did not answer within {deadline_s:g} s", where=f"board {board}"
        ) from error
    except BoardError:
        raise
    except (OSError, ValueError, struct.error) as error:
        raise BoardGoneError(
            f"its server does not answer as it should: {str(error).lower() or 'it hung up'}",
            where=f"board {board}",
        ) from error
    return header


class _Session:
    def __init__(self, server: Address, until_s: float) -> None:
        self._until_s = until_s
        self._socket = socket.create_connection((server.host, server.port), self._left_s())

    def close(self) -> None:
        self._socket.close()

    def _left_s(self) -> float:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def begin(self, match_key: str, limit_s: float) -> None:
        hello = f"client:{match_key} -timeout={max(1, round(limit_s))}".encode()
        self._send(struct.pack("<ii", _MAGIC, len(hello)) + hello)
        magic, size = struct.unpack("<ii", self._read(8))
        if magic != _MAGIC:
            raise ConnectionError("it refuses the key")
        self._read(_checked(size))
        self._request(_INIT, struct.pack("<Q", len(_PROTOCOL)) + _PROTOCOL + struct.pack("<i", 0))

    def function(self, name: str) -> int:
        """The handle of a function."""
        text = name.encode()
        told = self._request(_FUNCTION, struct.pack("<iiQ", 1, _RAW_TEXT, len(text)) + text)
        count, kind, handle = struct.unpack("<iiQ", told)
        if (count, kind) != (1, _POINTER) or handle == 0:
            raise ConnectionError(f"it has no function {name}: it is not edgetvm's")
        return int(handle)

    def call(self, function: int, message: bytes) -> bytes:
        """What a function of bytes answers with: bytes."""
        sent = struct.pack("<QiiIQ", function, 1, _BYTES, _BYTES, len(message)) + message
        told = self._request(_CALL, sent)
        count, kind, value, form, size = struct.unpack_from("<iiqiQ", told)
        if (count, kind, value, form) != (2, _INT, _BYTES, _RAW_BYTES):
            raise ConnectionError("its answer is malformed")
        return told[28 : 28 + size]

    def end(self) -> None:
        self._send(struct.pack("<Qi", 4, _SHUTDOWN))

    def _request(self, code: int, body: bytes) -> bytes:
        self._send(struct.pack("<Qi", 4 + len(body), code) + body)
        size, answer = struct.unpack("<Qi", self._read(12))
        told = self._read(_checked(size - 4))
        if answer == _EXCEPTION:
            raise ConnectionError(told[16:].decode(errors="replace").strip() or "it fails")
        if answer != _RETURN:
            raise ConnectionError("its answer is malformed")
        return told

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self._left_s())
        self._socket.sendall(data)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._socket.settimeout(self._left_s())
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("it closed the connection")
            data += part
        return data


def _checked(size: int) -> int:
    if not 0 <= size <= _MOST_BYTES:
        raise ConnectionError("its answer is malformed")
    return int(size)
