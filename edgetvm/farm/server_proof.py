"""Whether a board's server answers: by its greeting, for a port that is open proves nothing.

Protocol: apache-tvm 0.27, python/tvm/rpc/base.py and server.py.
"""

from __future__ import annotations

import struct
from contextlib import closing
from typing import Any

from edgetvm.base.errors import BoardError, BoardTimeoutError, BoardUnreachableError
from edgetvm.farm.listening import LOOPBACK
from edgetvm.farm.ssh import Connection

_MAGIC = 0xFF271
_MISMATCH = struct.pack("<i", 0xFF273)
# No board has this key: one that refuses it is there, and begins no session for it.
_NOBODY = b"client:nobody"


def prove_server(connection: Connection, port: int) -> None:
    """Greet a board's server, which begins no session for it and waits for none to end.

    Args:
        connection: to the board.
        port: of the server, on the board's loopback.

    Raises:
        BoardError: nothing listens there, or something else than such a server; BoardTimeoutError
            where it is silent; and what `Connection` raises.
    """
    name = connection.board.name
    try:
        channel = connection.open_stream(LOOPBACK, port)
    except BoardUnreachableError as error:
        raise BoardError(
            f"its server does not run: {error.what}",
            where=f"board {name}",
            mend=f"start it: edgetvm provision {name}",
        ) from error
    with closing(channel):
        channel.settimeout(connection.deadlines.proof_s)
        try:
            channel.sendall(struct.pack("<ii", _MAGIC, len(_NOBODY)) + _NOBODY)
            answer = _first(channel, len(_MISMATCH))
        except TimeoutError as error:
            raise BoardTimeoutError(
                "its server accepts connections and did not answer in time",
                where=f"board {name}",
                mend=f"is it frozen? start it again: edgetvm provision {name}",
            ) from error
        except (OSError, EOFError):
            answer = b""
    if answer != _MISMATCH:
        raise BoardError(
            f"what answers at port {port} there is not its server",
            where=f"board {name}",
            mend="choose another `server_port` in the inventory, and provision it again",
        )


def _first(channel: Any, size_bytes: int) -> bytes:
    data = b""
    while len(data) < size_bytes and (part := channel.recv(size_bytes - len(data))):
        data += part
    return data
