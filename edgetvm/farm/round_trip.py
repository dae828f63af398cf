"""A session with a board's server, from greeting to goodbye, without TVM: the proof that it works.

Protocol: apache-tvm 0.27, src/runtime/rpc/rpc_endpoint.cc; as TVM's own client speaks it.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import Any

from edgetvm.base.errors import BoardBusyError, BoardError
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.ssh import Connection

_MAGIC, _MISMATCH = 0xFF271, 0xFF273
_SHUTDOWN, _INIT, _CALL, _RETURN, _FUNCTION = 1, 2, 3, 4, 9
_INTEGER, _POINTER, _RAW_TEXT, _RAW_BYTES, _BYTES = 1, 4, 8, 9, 66
_VERSION = b"0.8.0"
_MOST_BYTES = 1 << 20
_LIMIT_S = 30


def ask_for_facts(
    connection: Connection, port: int, key: str, deadline_s: float = 10.0
) -> dict[str, Any]:
    """Open a session, have the board tell its facts, and end it.

    Args:
        connection: to the board.
        port: of its server, on its loopback.
        key: that lets clients in.
        deadline_s: for each answer.

    Returns:
        see `edgetvm.farm.board_service.facts`.

    Raises:
        BoardBusyError: the server lets nobody in before the deadline: another client has it.
        BoardError: the server refuses the key, or what it answers is no session's; and what
            `Connection` raises.
    """
    where = f"board {connection.board.name}"
    with closing(connection.open_stream(LOOPBACK, port)) as channel:
        channel.settimeout(deadline_s)
        try:
            _enter(channel, key, where)
            _ask(channel, _INIT, struct.pack("<Q", len(_VERSION)) + _VERSION + _packed())
            name = b"edgetvm.facts"
            function = _ask(channel, _FUNCTION, _packed((_RAW_TEXT, _sized(name))))
            facts = _answer_of(channel, function)
            channel.sendall(struct.pack("<Qi", 4, _SHUTDOWN))
        except (OSError, EOFError, ValueError, struct.error) as error:
            raise BoardError(
                f"the session with its server broke: {str(error) or 'no answer in time'}",
                where=where,
                mend=f"see what it says there, or start it anew: edgetvm provision "
                f"{connection.board.name}",
            ) from error
    return facts


def _enter(channel: Any, key: str, where: str) -> None:
    words = f"client:{key} -timeout={_LIMIT_S}".encode()
    channel.sendall(struct.pack("<ii", _MAGIC, len(words)) + words)
    try:
        (code,) = struct.unpack("<i", _exactly(channel, 4))
    except TimeoutError as error:
        raise BoardBusyError(
            "its server has another client now", where=where, mend="wait until that is done"
        ) from error
    if code == _MISMATCH:
        raise BoardError(
            "its server refuses the key that the board has for it",
            where=where,
            mend=f"start it anew: edgetvm provision {where.removeprefix('board ')}",
        )
    if code != _MAGIC:
        raise ValueError("something else than its server answers")
    (size_bytes,) = struct.unpack("<i", _exactly(channel, 4))
    _exactly(channel, size_bytes)


def _answer_of(channel: Any, found: bytes) -> dict[str, Any]:
    """Call the function that was found, and read what it tells."""
    from edgetvm.farm.board_service import decode, encode

    count, kind, handle = struct.unpack("<iiQ", found)
    if (count, kind) != (1, _POINTER) or handle == 0:
        raise ValueError("it has no edgetvm functions")
    request = (_BYTES, struct.pack("<i", _BYTES) + _sized(encode({}, b"")))
    answer = _ask(channel, _CALL, struct.pack("<Q", handle) + _packed(request))
    count, integer, told, kind, size_bytes = struct.unpack_from("<iiqiQ", answer)
    if (count, integer, told, kind) != (2, _INTEGER, _BYTES, _RAW_BYTES):
        raise ValueError("its answer is malformed")
    return decode(answer[-size_bytes:])[0]


def _ask(channel: Any, code: int, body: bytes) -> bytes:
    """Send a request, and give the values of its answer."""
    channel.sendall(struct.pack("<Qi", len(body) + 4, code) + body)
    size_bytes, answered = struct.unpack("<Qi", _exactly(channel, 12))
    values = _exactly(channel, size_bytes - 4)
    if answered != _RETURN:
        raise ValueError(f"it answers: {values[16:].decode(errors='replace')}")
    return values


def _packed(*values: tuple[int, bytes]) -> bytes:
    return struct.pack("<i", len(values)) + b"".join(
        struct.pack("<i", kind) + data for kind, data in values
    )


def _sized(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def _exactly(channel: Any, size_bytes: int) -> bytes:
    if not 0 <= size_bytes <= _MOST_BYTES:
        raise ValueError("its answer is malformed")
    data = b""
    while len(data) < size_bytes:
        part = channel.recv(size_bytes - len(data))
        if not part:
            raise EOFError("it closed the connection")
        data += part
    return data
