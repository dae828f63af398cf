"""Changes of the farm's tables, each inside a turn."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import Connection, CursorResult, Table, and_, delete, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from edgetvm.farm.leases.lease import Lease, Request, Waiting
from edgetvm.farm.leases.rows import SEEN_AGE_S, board_names, lease_of, no_such_board, open_lease
from edgetvm.farm.leases.tables import BOARDS, LEASES, WAITING

# Leases that ended: so many are kept.
_KEPT = 5000
_TIDY_EVERY = 100
NEXT = BOARDS.c.revision + 1


def put(
    connection: Connection, table: Table, key: str, name: str, values: dict[str, Any], **new: Any
) -> None:
    """Change a row, or make it with `new` besides."""
    done = connection.execute(update(table).where(table.c[key] == name).values(**values))
    if done.rowcount == 0:
        connection.execute(table.insert().values(**{key: name}, **values, **new))


def disown(connection: Connection, board: str, detail: str, which: Any) -> bool:
    """Leave a board without a server that anybody could be given."""
    mine = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance", which)
    values: dict[str, Any] = {"verdict": "unknown", "detail": detail, "revision": NEXT}
    values |= {"key": None, "tracker": None}
    return connection.execute(update(BOARDS).where(mine).values(**values)).rowcount > 0


def end_leases(connection: Connection, which: Any, reason: str, now_s: float) -> int:
    """End open leases; answers how many. Their boards are not good until they are proven."""
    open_ = and_(which, LEASES.c.ended_s.is_(None))
    rows = connection.execute(select(LEASES.c.board, LEASES.c.owner).where(open_)).all()
    connection.execute(
        update(LEASES).where(open_).values(ended_s=now_s, ended_at=time.time(), reason=reason)
    )
    for board, owner in rows:
        without_server(connection, board, f"{owner} had it: {reason}")
    return len(rows)


def without_server(connection: Connection, board: str, detail: str) -> None:
    """Leave a board without a server that anybody could reach, under maintenance, too."""
    disown(connection, board, detail, true())
    known = BOARDS.c.board == board
    connection.execute(update(BOARDS).where(known).values(key=None, tracker=None))


def end_what_is_over(connection: Connection, now_s: float) -> None:
    """End leases without a heartbeat or too old, and drop who waits and has not said so."""
    late = now_s >= LEASES.c.beat_s + LEASES.c.ttl_s
    old = now_s >= LEASES.c.granted_s + LEASES.c.longest_s
    over = select(LEASES.c.token).where(LEASES.c.ended_s.is_(None), or_(late, old)).limit(1)
    if connection.execute(over).scalar() is not None:
        end_leases(connection, old, "over its longest life", now_s)
        end_leases(connection, late, "expired", now_s)
    connection.execute(delete(WAITING).where(WAITING.c.seen_s < now_s - SEEN_AGE_S))


def seen_again(connection: Connection, request: Request, now_s: float) -> int | None:
    """Note that a request still waits; answers with its number, if it does."""
    mine = WAITING.c.secret == request.secret
    number: int | None = connection.execute(select(WAITING.c.number).where(mine)).scalar()
    if number is not None:
        connection.execute(update(WAITING).where(mine).values(seen_s=now_s))
    return number


def enter_queue(connection: Connection, request: Request, now_s: float) -> Waiting:
    """Stand in the queue, behind all others of the same priority."""
    made = connection.execute(
        WAITING.insert().values(
            boards=json.dumps(request.boards), owner=request.owner, purpose=request.purpose,
            priority=request.priority, secret=request.secret, since_s=now_s, seen_s=now_s,
        )
    )  # fmt: skip
    return request.waiting(_number(made))


def grant(connection: Connection, request: Request, board: str, now_s: float) -> Lease | None:
    """The compare-and-set: the index refuses a second open lease of a board."""
    try:
        with connection.begin_nested():
            made = connection.execute(
                LEASES.insert().values(
                    board=board, owner=request.owner, purpose=request.purpose,
                    secret=request.secret, ttl_s=request.ttl_s, longest_s=request.longest_s,
                    granted_s=now_s, beat_s=now_s, granted_at=time.time(),
                )
            )  # fmt: skip
    except IntegrityError:
        return None
    connection.execute(delete(WAITING).where(WAITING.c.secret == request.secret))
    token = _number(made)
    if token % _TIDY_EVERY == 0:
        old = and_(LEASES.c.token < token - _KEPT, LEASES.c.ended_s.is_not(None))
        connection.execute(delete(LEASES).where(old))
    return lease_of(open_lease(connection, token, request.secret), now_s)


def _number(made: CursorResult[Any]) -> int:
    """Of the row that was inserted."""
    key = made.inserted_primary_key
    return int(key[0]) if key is not None else 0


def check_names(connection: Connection, request: Request) -> None:
    """Refuse a request for boards of which the farm has none."""
    known = board_names(connection)
    if not set(known).intersection(request.boards):
        raise no_such_board(request.boards, known)
