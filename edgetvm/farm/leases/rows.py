"""What stands in the farm's tables, as records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, select

from edgetvm.base.errors import LeaseLostError, NotFoundError
from edgetvm.farm.leases import queueing
from edgetvm.farm.leases.lease import (
    PROOF_AGE_S,
    Daemon,
    Ended,
    Lease,
    Offer,
    Overview,
    Waiting,
)
from edgetvm.farm.leases.tables import BOARDS, DAEMONS, LEASES, WAITING
from edgetvm.farm.tracker_client import Address

# Who waits and has not said so for so long is taken for dead.
SEEN_AGE_S = 5.0
_SHOWN = 50
UNHELD = ~exists().where(and_(LEASES.c.board == BOARDS.c.board, LEASES.c.ended_s.is_(None)))


def open_lease(connection: Connection, token: int, secret: str) -> Row[Any]:
    """The open lease, with its board's server."""
    joined = LEASES.join(BOARDS, LEASES.c.board == BOARDS.c.board)
    row = connection.execute(
        select(LEASES, BOARDS.c.tracker, BOARDS.c.key)
        .select_from(joined)
        .where(LEASES.c.token == token, LEASES.c.secret == secret)
    ).one_or_none()
    if row is not None and row.ended_s is None:
        return row
    told = connection.execute(
        select(LEASES.c.board, LEASES.c.reason).where(LEASES.c.token == token)
    ).one_or_none()
    where = f"lease {token}" if told is None else f"board {told.board}"
    why = "there is none" if told is None else told.reason or "it is another's"
    raise LeaseLostError(
        f"the lease is over: {why}",
        where=where,
        mend="take the board again; what was done since the lease ended does not count",
    )


def queue(connection: Connection, now_s: float) -> list[Waiting]:
    """Who waits."""
    rows = connection.execute(select(WAITING).where(WAITING.c.seen_s >= now_s - SEEN_AGE_S))
    return [
        Waiting(
            row.number, tuple(json.loads(row.boards)), row.owner, row.purpose, row.priority,
            now_s - row.since_s,
        )
        for row in rows
    ]  # fmt: skip


def free_boards(connection: Connection, now_s: float) -> set[str]:
    """Boards that nobody has and that are good now."""
    good = and_(
        BOARDS.c.verdict == "good",
        BOARDS.c.key.is_not(None),
        BOARDS.c.proven_s >= now_s - PROOF_AGE_S,
    )
    return set(connection.execute(select(BOARDS.c.board).where(good, UNHELD)).scalars())


def open_leases(connection: Connection, now_s: float) -> list[Lease]:
    """All that are open."""
    joined = LEASES.join(BOARDS, LEASES.c.board == BOARDS.c.board)
    rows = connection.execute(
        select(LEASES, BOARDS.c.tracker, BOARDS.c.key)
        .select_from(joined)
        .where(LEASES.c.ended_s.is_(None))
        .order_by(LEASES.c.token)
    )
    return [lease_of(row, now_s) for row in rows]


def overview(connection: Connection, now_s: float) -> Overview:
    """All of the farm."""
    ended = connection.execute(
        select(LEASES)
        .where(LEASES.c.ended_s.is_not(None))
        .order_by(LEASES.c.ended_s.desc())
        .limit(_SHOWN)
    )
    return Overview(
        daemons=tuple(
            Daemon(row.name, row.host, Address.parse(row.tracker), row.pid, now_s - row.beat_s)
            for row in connection.execute(select(DAEMONS).order_by(DAEMONS.c.name))
        ),
        boards=tuple(
            _offer(row, now_s)
            for row in connection.execute(select(BOARDS).order_by(BOARDS.c.board))
        ),
        leases=tuple(open_leases(connection, now_s)),
        waiting=tuple(queueing.in_order(queue(connection, now_s))),
        ended=tuple(
            Ended(
                row.token, row.board, row.owner, row.purpose, row.granted_at, row.ended_at,
                row.ended_s - row.granted_s, row.reason,
            )
            for row in ended
        ),
    )  # fmt: skip


def lease_of(row: Row[Any], now_s: float, beat_s: float | None = None) -> Lease:
    """A lease with its board's server; `beat_s` is a heartbeat later than the row's."""
    return Lease(
        token=row.token, board=row.board, owner=row.owner, purpose=row.purpose, secret=row.secret,
        ttl_s=row.ttl_s, longest_s=row.longest_s, granted_at=row.granted_at,
        age_s=now_s - row.granted_s,
        silent_s=now_s - (row.beat_s if beat_s is None else beat_s),
        tracker=Address.parse(row.tracker) if row.tracker else None,
        key=row.key,
    )  # fmt: skip


def _offer(row: Row[Any], now_s: float) -> Offer:
    return Offer(
        board=row.board, profile=row.profile, daemon=row.daemon, verdict=row.verdict,
        revision=row.revision,
        detail=row.detail, age_s=None if row.proven_s is None else now_s - row.proven_s,
        temperature_c=row.temperature_c,
        tracker=Address.parse(row.tracker) if row.tracker else None, key=row.key,
    )  # fmt: skip


def board_names(connection: Connection) -> list[str]:
    """Of all that the farm knows."""
    return list(connection.execute(select(BOARDS.c.board)).scalars())


def no_such_board(names: Sequence[str], known: Iterable[str]) -> NotFoundError:
    """That the farm has none of these, and which it has."""
    boards = ", ".join(sorted(known))
    return NotFoundError(
        f"no such board is in the farm: {', '.join(names)}",
        mend=f"its boards: {boards}" if boards else "it has none: edgetvm farm up",
    )
