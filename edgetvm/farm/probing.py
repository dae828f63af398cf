"""Proof that a board serves: a whole session with its server, in which it tells of itself.

A bare connection proves nothing: TVM's own server takes one that says nothing for a client, and
waits. The client here is none of TVM's, which waits for ever and may take its process with it: a
daemon asks many boards, for months. Protocol: apache-tvm 0.27, src/runtime/rpc/rpc_endpoint.cc.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from edgetvm.base.errors import BoardError, BoardGoneError, BoardTimeoutError
from edgetvm.farm.bare_session import BareSession
from edgetvm.farm.tracker_client import Address, request_board


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
    until_s = time.monotonic() + deadline_s
    # A place that was given and not taken is lost for ten seconds: have time to take it.
    address, match_key = request_board(tracker, key, deadline_s / 2)
    left_s = max(until_s - time.monotonic(), 0.1)

    def reach() -> Any:
        return socket.create_connection((address.host, address.port), left_s)

    return session_over(reach, match_key, board, left_s)


def session_over(
    reach: Callable[[], Any], match_key: str, board: str, deadline_s: float = 10.0
) -> dict[str, Any]:
    """The same over a stream to the server, for who has the key that lets clients in.

    Args:
        reach: opens the stream: a socket, or a channel of paramiko's.
        match_key: that lets clients in.
        board: its name, for errors.
        deadline_s: for all of it.

    Raises:
        BoardGoneError: it ends the connection, or speaks otherwise.
        BoardTimeoutError: it is late, or has another client.
    """
    try:
        with closing(reach()) as stream, BareSession(stream, match_key, deadline_s) as session:
            return facts_told(session)
    except BoardError:
        raise
    except TimeoutError as error:
        raise BoardTimeoutError(
            f"its server did not answer within {deadline_s:g} s", where=f"board {board}"
        ) from error
    except (OSError, EOFError, ValueError) as error:
        raise BoardGoneError(
            f"its server does not answer as it should: {str(error).lower() or 'it hung up'}",
            where=f"board {board}",
        ) from error


def facts_told(session: BareSession) -> dict[str, Any]:
    """What a board says of itself in a session.

    Raises:
        ValueError: its server is not edgetvm's; and what `BareSession` raises.
    """
    from edgetvm.farm.board_service import decode, encode

    answer = session.call(session.function("edgetvm.facts"), encode({}, b""))
    try:
        facts = decode(answer)[0] if isinstance(answer, bytes) else None
    except struct.error as error:
        raise ValueError("it does not tell its facts") from error
    if not isinstance(facts, dict):
        raise ValueError("it does not tell its facts")
    return facts
