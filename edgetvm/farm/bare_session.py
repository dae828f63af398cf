"""A session with a board's server without TVM: what its own client speaks, over any stream.

Protocol: apache-tvm 0.27, python/tvm/rpc/base.py and src/runtime/rpc/rpc_endpoint.cc.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

_MAGIC, _MISMATCH = 0xFF271, 0xFF273
_SHUTDOWN, _INIT, _CALL, _RETURN, _EXCEPTION, _FUNCTION = 1, 2, 3, 4, 5, 9
# Types of values on the wire.
_NONE, _INTEGER, _POINTER, _RAW_TEXT, _RAW_BYTES, _BYTES, _MODULE = 0, 1, 4, 8, 9, 66, 73
_VERSION = b"0.8.0"
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Handle:
    """Something that the board keeps: a function or a module."""

    number: int


Value = int | str | bytes | Handle | None


class KeyRefusedError(ValueError):
    """Such a server is there, and lets nobody in with that key."""


class BareSession:
    """A session, from greeting to goodbye.

    Every method raises:
        TimeoutError: the deadline has passed.
        EOFError, OSError: the connection broke.
        ValueError: the server refuses, or answers what is none.
    """

    def __init__(self, channel: Any, key: str, deadline_s: float) -> None:
        """Greet the server over a stream, and be let in.

        Args:
            channel: paramiko's, or a socket.
            key: that lets clients in.
            deadline_s: for the whole session.
        """
        self._channel = channel
        self._until_s = time.monotonic() + deadline_s
        words = f"client:{key} -timeout={deadline_s:g}".encode()
        self._send(struct.pack("<ii", _MAGIC, len(words)) + words)
        (code,) = struct.unpack("<i", self._receive(4))
        if code == _MISMATCH:
            raise KeyRefusedError("it refuses the key")
        if code != _MAGIC:
            raise ValueError("something else answers there")
        (size_bytes,) = struct.unpack("<i", self._receive(4))
        self._receive(size_bytes)
        self._ask(_INIT, _sized(_VERSION) + bytes(4))

    def function(self, name: str) -> Handle:
        """A function of the server's, by its name."""
        found = _read(self._ask(_FUNCTION, _packed(name)), 4)
        if not isinstance(found, Handle) or not found.number:
            raise ValueError(f"it has no function {name}")
        return found

    def call(self, function: Handle, *arguments: Value, module: Handle | None = None) -> Value:
        """Call a function; `module` comes before the other arguments."""
        values = _packed(*arguments, module=module)
        # The result's type stands twice: as a number, and before the result itself.
        return _read(self._ask(_CALL, struct.pack("<Q", function.number) + values), 16)

    def __enter__(self) -> BareSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._send(struct.pack("<Qi", 4, _SHUTDOWN))

    def _ask(self, code: int, body: bytes) -> bytes:
        """Send a request, and give the values of its answer."""
        self._send(struct.pack("<Qi", len(body) + 4, code) + body)
        size_bytes, answered = struct.unpack("<Qi", self._receive(12))
        values = self._receive(size_bytes - 4)
        if answered == _EXCEPTION:
            raise ValueError(values[16:].decode(errors="replace"))
        if answered != _RETURN:
            raise ValueError("its answer is of another kind")
        return values

    def _send(self, data: bytes) -> None:
        self._channel.settimeout(max(0.01, self._until_s - time.monotonic()))
        self._channel.sendall(data)

    def _receive(self, size_bytes: int) -> bytes:
        if not 0 <= size_bytes <= _MOST_BYTES:
            raise ValueError("its answer is malformed")
        data = b""
        while len(data) < size_bytes:
            self._channel.settimeout(max(0.01, self._until_s - time.monotonic()))
            part = self._channel.recv(size_bytes - len(data))
            if not part:
                raise EOFError("it ended the connection")
            data += part
        return data


def _packed(*values: Value, module: Handle | None = None) -> bytes:
    parts = [struct.pack("<iQ", _MODULE, module.number)] if module else []
    parts += map(_written, values)
    return struct.pack("<i", len(parts)) + b"".join(parts)


def _written(value: Value) -> bytes:
    match value:
        case int():
            return struct.pack("<iq", _INTEGER, value)
        case str():
            return struct.pack("<i", _RAW_TEXT) + _sized(value.encode())
        case bytes():
            return struct.pack("<ii", _BYTES, _BYTES) + _sized(value)
        case Handle():
            return struct.pack("<iQ", _POINTER, value.number)
        case None:
            return struct.pack("<i", _NONE)


def _sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _read(values: bytes, at: int) -> Value:
    """The value that begins there."""
    try:
        (kind,) = struct.unpack_from("<i", values, at)
        if kind == _NONE:
            return None
        (number,) = struct.unpack_from("<q", values, at + 4)
    except struct.error as error:
        raise ValueError("its answer is malformed") from error
    if kind == _POINTER:
        return Handle(number)
    if kind in (_RAW_TEXT, _RAW_BYTES) and 0 <= number == len(values) - at - 12:
        return values[at + 12 :]
    if kind == _INTEGER:
        return int(number)
    raise ValueError("its answer is malformed")
