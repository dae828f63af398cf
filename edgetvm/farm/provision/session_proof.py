"""A session with a board's server, begun and asked one thing, over the SSH connection.

The protocol is TVM's RPC, as the stock client of 0.27 speaks it (python/tvm/rpc/base.py,
src/runtime/rpc/rpc_endpoint.cc). TVM itself is not needed for so little.
"""

from __future__ import annotations

import contextlib
import struct
import time
from contextlib import closing
from typing import Any

from edgetvm.base.errors import BoardError, BoardTimeoutError, BoardUnreachableError
from edgetvm.base.version import __version__
from edgetvm.base.words import printable
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.ssh import Connection

_DEADLINE_S = 30.0
_MAGIC = 0xFF271
_MOST_BYTES = 1 << 20
_INIT_SERVER, _CALL, _RETURN, _EXCEPTION, _GET_FUNCTION = 2, 3, 4, 5, 9
_POINTER, _TEXT, _BYTES = 4, 8, 9
_PROTOCOL = b"0.8.0"
_FUNCTION = b"edgetvm.facts"


def prove_session(connection: Connection, port: int, key: str) -> str:
    """Begin a session with a board's server and ask it what it is.

    Args:
        connection: to the board.
        port: of the server, on the board's loopback.
        key: that lets clients in.

    Returns:
        the version of edgetvm that it is.

    Raises:
        BoardError: it does not run, or answers otherwise than it should; and what `Connection`
            raises.
    """
    where = f"board {connection.board.name}"
    try:
        with closing(_Stream(connection.open_stream(LOOPBACK, port))) as stream:
            facts = _facts(stream, key)
    except BoardUnreachableError as error:
        raise BoardError(
            f"its server does not run: {error.what}",
            where=where,
            mend="run the same command again",
        ) from error
    except TimeoutError as error:
        raise BoardTimeoutError(
            f"its server did not answer within {_DEADLINE_S:g} s",
            where=where,
            mend="is it overloaded? run the same command again",
        ) from error
    except (EOFError, OSError, ValueError, struct.error) as error:
        raise BoardError(
            f"a session with its server fails: {printable(str(error))}",
            where=where,
            mend=f"does another program have port {port} there? give it another `server_port`",
        ) from error
    return printable(str(facts.get("version")))


def check_version(version: str, where: str) -> None:
    """Refuse a server of another version.

    Raises:
        BoardError: with both versions.
    """
    if version != __version__:
        raise BoardError(
            f"its server is edgetvm {version}, and this is edgetvm {__version__}",
            where=where,
            mend="bring it this one's: edgetvm provision",
        )


class _Stream:
    """Bytes both ways, with one deadline for all of them."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._until_s = time.monotonic() + _DEADLINE_S

    def send(self, data: bytes) -> None:
        self._channel.settimeout(max(0.01, self._until_s - time.monotonic()))
        self._channel.sendall(data)

    def receive(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            self._channel.settimeout(max(0.01, self._until_s - time.monotonic()))
            part = self._channel.recv(size_bytes - len(data))
            if not part:
                raise EOFError("it ended the connection")
            data += part
        return data

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()


def _facts(stream: _Stream, key: str) -> dict[str, Any]:
    from edgetvm.farm.board_service import decode, encode

    _greet(stream, key)
    _answer(stream, _INIT_SERVER, struct.pack("<Q", len(_PROTOCOL)) + _PROTOCOL + bytes(4))
    found = _answer(stream, _GET_FUNCTION, struct.pack("<i", 1) + _words(_TEXT, _FUNCTION))
    kind, handle = struct.unpack_from("<iQ", found)
    if kind != _POINTER or not handle:
        raise ValueError("it is no server of edgetvm's")
    request = struct.pack("<Qi", handle, 1) + _words(_BYTES, encode({}, b""))
    answer = _answer(stream, _CALL, request)
    # The result's type, its form on the wire, and its length come before the bytes.
    (size,) = struct.unpack_from("<Q", answer, 16)
    return decode(answer[24 : 24 + size])[0]


def _greet(stream: _Stream, key: str) -> None:
    words = f"client:{key} -timeout={_DEADLINE_S:g}".encode()
    stream.send(struct.pack("<ii", _MAGIC, len(words)) + words)
    (magic,) = struct.unpack("<i", stream.receive(4))
    if magic != _MAGIC:
        raise ValueError("it refuses the key, or is another program")
    (size,) = struct.unpack("<i", stream.receive(4))
    stream.receive(min(size, _MOST_BYTES))


def _words(kind: int, data: bytes) -> bytes:
    return struct.pack("<iQ", kind, len(data)) + data


def _answer(stream: _Stream, code: int, body: bytes) -> bytes:
    """One request and its answer: the values in it."""
    stream.send(struct.pack("<Qi", len(body) + 4, code) + body)
    size, answered = struct.unpack("<Qi", stream.receive(12))
    if not 8 <= size <= _MOST_BYTES:
        raise ValueError("its answer is malformed")
    values = stream.receive(size - 4)[4:]
    if answered == _EXCEPTION:
        raise ValueError(values[12:].decode(errors="replace"))
    if answered != _RETURN:
        raise ValueError("its answer is of another kind")
    return values
