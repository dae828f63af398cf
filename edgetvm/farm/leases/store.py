"""Leases in the farm's database: who has a board is decided here, and nowhere else."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Row,
    Table,
    and_,
    delete,
    exists,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from edgetvm.base.errors import LeaseLostError, NotFoundError
from edgetvm.farm.leases import clock, queueing
from edgetvm.farm.leases.lease import Ended, Lease, Offer, Request, Verdict, Waiting
from edgetvm.farm.leases.tables import (
    BOARDS,
    DAEMONS,
    LEASES,
    WAITING,
    open_database,
    storage_errors,
    turn,
)
from edgetvm.farm.tracker_client import Address

# A board that was proven good longer ago is given to nobody.
PROOF_AGE_S = 60.0
# Who waits says so this often, and is taken for dead after the other.
_SEEN_EVERY_S = 1.0
_SEEN_AGE_S = 5.0
# A daemon that has been silent for so long serves no more.
DAEMON_AGE_S = 10.0
# Leases that ended: so many are kept, and so many are shown.
_KEPT = 5000
_SHOWN = 50


@dataclass(frozen=True)
class Daemon:
    """A process that serves the farm.

    Attributes:
        name: of it.
        host: that it runs on.
        tracker: of its boards, on that host's loopback.
        pid: on that host.
        silent_s: since its last sign of life.
    """

    name: str
    host: str
    tracker: Address
    pid: int
    silent_s: float

    @property
    def is_up(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.silent_s < DAEMON_AGE_S

    @property
    def is_here(self) -> bool:
        """Whether its tracker can be reached from this host."""
        return self.host == socket.gethostname()


@dataclass(frozen=True)
class Proof:
    """That a board is good: a session with its server came and went.

    Attributes:
        tracker, key: that the server is registered with.
        temperature_c: that it told; None where it has no sensor.
    """

    tracker: Address
    key: str
    temperature_c: float | None = None


@dataclass(frozen=True)
class Overview:
    """The farm at one moment: daemons, boards by name, open leases, who waits, what ended last."""

    daemons: tuple[Daemon, ...]
    boards: tuple[Offer, ...]
    leases: tuple[Lease, ...]
    waiting: tuple[Waiting, ...]
    ended: tuple[Ended, ...]


class LeaseStore:
    """The leases of a farm. Threads and processes may share a database.

    Every method raises:
        StorageError: the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        """Open or make it.

        Args:
            url: `sqlite:////PATH` or `postgresql://USER@HOST/NAME`.

        Raises:
            see `tables.open_database`.
        """
        self.url = url
        self._engine = open_database(url)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> LeaseStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _turn(self) -> Iterator[tuple[Connection, float]]:
        """A transaction, and the farm's time in it. What is over by then has ended."""
        with storage_errors(self._engine), turn(self._engine) as connection:
            now_s = clock.carried_on_s(connection)
            _end_what_is_over(connection, now_s)
            yield connection, now_s

    # -- those who want boards

    def ask(self, request: Request) -> Lease | Waiting:
        """Ask for a board, and again until one is given; who asks no more leaves the queue.

        Raises:
            NotFoundError: none of its boards is in the farm.
        """
        waiting = self._in_vain(request)
        if waiting is not None:
            return waiting
        with self._turn() as (connection, now_s):
            _check_names(connection, request)
            number = _enter(connection, request, now_s)
            queue, free = _queue(connection, now_s), _free(connection, now_s)
            board = queueing.board_for(number, queue, free)
            if board is not None:
                granted = _granted(connection, request, board, now_s)
                if granted is not None:
                    return granted
            return next(one for one in queue if one.number == number)

    def _in_vain(self, request: Request) -> Waiting | None:
        """The request's place where nothing can be had; without a turn, for which others wait."""
        with storage_errors(self._engine), self._engine.connect() as connection:
            now_s = clock.now_s(connection)
            mine = connection.execute(
                select(WAITING).where(WAITING.c.secret == request.secret)
            ).one_or_none()
            if mine is None or now_s - mine.seen_s > _SEEN_EVERY_S:
                return None
            queue, free = _queue(connection, now_s), _free(connection, now_s)
            over = any(one.left_s <= 0 for one in _open_leases(connection, now_s))
            if over or queueing.board_for(mine.number, queue, free) is not None:
                return None
            return next((one for one in queue if one.number == mine.number), None)

    def withdraw(self, request: Request) -> None:
        """Leave the queue."""
        with self._turn() as (connection, _):
            connection.execute(delete(WAITING).where(WAITING.c.secret == request.secret))

    def beat(self, lease: Lease) -> Lease:
        """Say that a lease's holder lives. Answers with the lease as it stands now.

        Raises:
            LeaseLostError: it is over; says why.
        """
        with self._turn() as (connection, now_s):
            row = _mine(connection, lease.token, lease.secret)
            connection.execute(
                update(LEASES).where(LEASES.c.token == lease.token).values(beat_s=now_s)
            )
            return _lease(row, now_s, beat_s=now_s)

    def find(self, token: int, secret: str) -> Lease:
        """An open lease by its words, as it stands.

        Raises:
            LeaseLostError: it is over, or there never was one.
        """
        with storage_errors(self._engine), self._engine.connect() as connection:
            now_s = clock.now_s(connection)
            return _lease(_mine(connection, token, secret), now_s)

    def end(self, lease: Lease, reason: str = "released") -> bool:
        """Give a board back. False where the lease was over already.

        Nobody gets it before the daemon has ended what the holder left there and proven it good.
        """
        with self._turn() as (connection, now_s):
            which = and_(LEASES.c.token == lease.token, LEASES.c.secret == lease.secret)
            return _end(connection, which, reason, now_s) > 0

    def kick(self, board: str, reason: str) -> bool:
        """End whatever lease a board has. False where it has none."""
        with self._turn() as (connection, now_s):
            return _end(connection, LEASES.c.board == board, reason, now_s) > 0

    # -- those who serve the boards

    def sign_on(self, name: str, tracker: Address) -> None:
        """Say that a daemon serves the farm; again and again, as a sign of life."""
        values = {"tracker": str(tracker), "pid": os.getpid(), "host": socket.gethostname()}
        with self._turn() as (connection, now_s):
            _put(connection, DAEMONS, "name", name, {**values, "beat_s": now_s})

    def sign_off(self, name: str) -> None:
        """Say that it does not any more."""
        with self._turn() as (connection, _):
            connection.execute(delete(DAEMONS).where(DAEMONS.c.name == name))

    def enlist(self, daemon: str, boards: Sequence[tuple[str, str]]) -> list[str]:
        """Name the boards of a daemon, with their profiles; others of it are taken out.

        Leases stay. Boards that nobody has must be proven good anew.

        Returns:
            the boards that are its: not those that another daemon serves, which is up.
        """
        with self._turn() as (connection, now_s):
            others = set(
                connection.execute(
                    select(BOARDS.c.board)
                    .join(DAEMONS, DAEMONS.c.name == BOARDS.c.daemon)
                    .where(DAEMONS.c.name != daemon, DAEMONS.c.beat_s > now_s - DAEMON_AGE_S)
                ).scalars()
            )
            boards = [one for one in boards if one[0] not in others]
            names = [name for name, _ in boards]
            gone = and_(BOARDS.c.daemon == daemon, BOARDS.c.board.not_in(names))
            lost = select(BOARDS.c.board).where(gone)
            _end(connection, LEASES.c.board.in_(lost), "board lost: taken out of the farm", now_s)
            connection.execute(delete(BOARDS).where(gone))
            for name, profile in boards:
                values = {"profile": profile, "daemon": daemon}
                _put(connection, BOARDS, "board", name, values, verdict="unknown", detail="new")
                _disown(connection, name, "the farm was started", _UNHELD)
        return names

    def claim(self, board: str, detail: str, key: str | None) -> bool:
        """Take a board that nobody has for the farm's own work: it is given to nobody meanwhile.

        Args:
            board: its name.
            detail: why.
            key: of its server when it was decided; of another nothing is known.

        Returns:
            False where somebody has it, its server is another, or it is under maintenance.
        """
        same = BOARDS.c.key.is_(None) if key is None else BOARDS.c.key == key
        with self._turn() as (connection, _):
            return _disown(connection, board, detail, and_(_UNHELD, same))

    def proven(self, board: str, proof: Proof, *, again: bool = False) -> bool:
        """Keep that a board is good, and who serves it.

        Args:
            board: its name, claimed before.
            proof: just made.
            again: whether it was good, and is not claimed: if it was given away and came back
                meanwhile, this proof is of another server.

        Returns:
            False where the proof does not count any more.
        """
        values: dict[str, Any] = {"verdict": "good", "detail": ""}
        values |= {"temperature_c": proof.temperature_c}
        values |= {"tracker": str(proof.tracker), "key": proof.key}
        which = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance")
        if again:
            which = and_(which, BOARDS.c.verdict == "good", BOARDS.c.key == proof.key)
        with self._turn() as (connection, now_s):
            done = connection.execute(update(BOARDS).where(which).values(**values, proven_s=now_s))
            return done.rowcount > 0

    def worse(self, board: str, verdict: Verdict, detail: str) -> None:
        """Keep that a board that nobody has is not good, and why. Maintenance stays."""
        with self._turn() as (connection, _):
            which = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance", _UNHELD)
            connection.execute(
                update(BOARDS).where(which).values(verdict=verdict, detail=detail, key=None)
            )

    def maintain(self, board: str, reason: str, *, begins: bool) -> None:
        """Begin or end the maintenance of a board. Its lease, if it has one, goes on.

        Raises:
            NotFoundError: no such board is in the farm.
        """
        verdict = "maintenance" if begins else "unknown"
        with self._turn() as (connection, _):
            found = connection.execute(
                update(BOARDS).where(BOARDS.c.board == board).values(verdict=verdict, detail=reason)
            )
            if found.rowcount == 0:
                raise _no_such_board((board,), connection)
            if not begins:
                _disown(connection, board, reason, _UNHELD)

    def look(self) -> Overview:
        """The farm as it is. Whatever is over by now has ended."""
        with self._turn() as (connection, now_s):
            return _overview(connection, now_s)

    def seen(self) -> Overview:
        """The farm as it is, without a turn: leases that nobody has ended yet still stand."""
        with storage_errors(self._engine), self._engine.connect() as connection:
            return _overview(connection, clock.now_s(connection))


_UNHELD = ~exists().where(and_(LEASES.c.board == BOARDS.c.board, LEASES.c.ended_s.is_(None)))


def _put(
    connection: Connection, table: Table, key: str, name: str, values: dict[str, Any], **new: Any
) -> None:
    """Change a row, or make it with `new` besides."""
    done = connection.execute(update(table).where(table.c[key] == name).values(**values))
    if done.rowcount == 0:
        connection.execute(table.insert().values(**{key: name}, **values, **new))


def _disown(connection: Connection, board: str, detail: str, which: Any) -> bool:
    """Leave a board without a server that anybody could be given."""
    mine = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance", which)
    values = {"verdict": "unknown", "detail": detail, "key": None, "tracker": None}
    return connection.execute(update(BOARDS).where(mine).values(**values)).rowcount > 0


def _end(connection: Connection, which: Any, reason: str, now_s: float) -> int:
    """End open leases; answers how many. Their boards are not good until they are proven."""
    open_ = and_(which, LEASES.c.ended_s.is_(None))
    rows = connection.execute(select(LEASES.c.board, LEASES.c.owner).where(open_)).all()
    connection.execute(
        update(LEASES).where(open_).values(ended_s=now_s, ended_at=time.time(), reason=reason)
    )
    for board, owner in rows:
        _disown(connection, board, f"{owner} had it: {reason}", true())
    return len(rows)


def _end_what_is_over(connection: Connection, now_s: float) -> None:
    late = now_s >= LEASES.c.beat_s + LEASES.c.ttl_s
    old = now_s >= LEASES.c.granted_s + LEASES.c.longest_s
    _end(connection, old, "over its longest life", now_s)
    _end(connection, late, "expired", now_s)
    connection.execute(delete(WAITING).where(WAITING.c.seen_s < now_s - _SEEN_AGE_S))


def _mine(connection: Connection, token: int, secret: str) -> Row[Any]:
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


def _enter(connection: Connection, request: Request, now_s: float) -> int:
    """Stand in the queue. Answers with the number."""
    mine = WAITING.c.secret == request.secret
    number = connection.execute(select(WAITING.c.number).where(mine)).scalar()
    if number is not None:
        connection.execute(update(WAITING).where(mine).values(seen_s=now_s))
        return int(number)
    made = connection.execute(
        WAITING.insert().values(
            boards=json.dumps(request.boards), owner=request.owner, purpose=request.purpose,
            priority=request.priority, secret=request.secret, since_s=now_s, seen_s=now_s,
        )
    )  # fmt: skip
    return _number(made)


def _number(made: CursorResult[Any]) -> int:
    """Of the row that was inserted."""
    key = made.inserted_primary_key
    return int(key[0]) if key is not None else 0


def _queue(connection: Connection, now_s: float) -> list[Waiting]:
    rows = connection.execute(select(WAITING).where(WAITING.c.seen_s >= now_s - _SEEN_AGE_S))
    return [
        Waiting(
            row.number, tuple(json.loads(row.boards)), row.owner, row.purpose, row.priority,
            now_s - row.since_s,
        )
        for row in rows
    ]  # fmt: skip


def _free(connection: Connection, now_s: float) -> set[str]:
    """Boards that nobody has and that are good now."""
    good = and_(
        BOARDS.c.verdict == "good",
        BOARDS.c.key.is_not(None),
        BOARDS.c.proven_s >= now_s - PROOF_AGE_S,
    )
    return set(connection.execute(select(BOARDS.c.board).where(good, _UNHELD)).scalars())


def _granted(connection: Connection, request: Request, board: str, now_s: float) -> Lease | None:
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
    old = and_(LEASES.c.token < token - _KEPT, LEASES.c.ended_s.is_not(None))
    connection.execute(delete(LEASES).where(old))
    return _lease(_mine(connection, token, request.secret), now_s)


def _lease(row: Row[Any], now_s: float, beat_s: float | None = None) -> Lease:
    return Lease(
        token=row.token, board=row.board, owner=row.owner, purpose=row.purpose, secret=row.secret,
        ttl_s=row.ttl_s, longest_s=row.longest_s, granted_at=row.granted_at,
        age_s=now_s - row.granted_s,
        silent_s=now_s - (row.beat_s if beat_s is None else beat_s),
        tracker=Address.parse(row.tracker) if row.tracker else None,
        key=row.key,
    )  # fmt: skip


def _open_leases(connection: Connection, now_s: float) -> list[Lease]:
    joined = LEASES.join(BOARDS, LEASES.c.board == BOARDS.c.board)
    rows = connection.execute(
        select(LEASES, BOARDS.c.tracker, BOARDS.c.key)
        .select_from(joined)
        .where(LEASES.c.ended_s.is_(None))
        .order_by(LEASES.c.token)
    )
    return [_lease(row, now_s) for row in rows]


def _check_names(connection: Connection, request: Request) -> None:
    known = set(connection.execute(select(BOARDS.c.board)).scalars())
    if not known.intersection(request.boards):
        raise _no_such_board(request.boards, connection)


def _no_such_board(names: Sequence[str], connection: Connection) -> NotFoundError:
    known = sorted(connection.execute(select(BOARDS.c.board)).scalars())
    return NotFoundError(
        f"no such board is in the farm: {', '.join(names)}",
        mend=f"its boards: {', '.join(known) or 'none: edgetvm farm up'}",
    )


def _overview(connection: Connection, now_s: float) -> Overview:
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
        leases=tuple(_open_leases(connection, now_s)),
        waiting=tuple(queueing.in_order(_queue(connection, now_s))),
        ended=tuple(
            Ended(
                row.token, row.board, row.owner, row.purpose, row.granted_at, row.ended_at,
                row.ended_s - row.granted_s, row.reason,
            )
            for row in ended
        ),
    )  # fmt: skip


def _offer(row: Row[Any], now_s: float) -> Offer:
    return Offer(
        board=row.board, profile=row.profile, daemon=row.daemon, verdict=row.verdict,
        detail=row.detail, age_s=None if row.proven_s is None else now_s - row.proven_s,
        temperature_c=row.temperature_c,
        tracker=Address.parse(row.tracker) if row.tracker else None, key=row.key,
    )  # fmt: skip
