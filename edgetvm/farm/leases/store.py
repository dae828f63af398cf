"""Leases in the farm's database: who has a board is decided here, and nowhere else."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update

from edgetvm.farm.leases import changes, clock, queueing, rows
from edgetvm.farm.leases.changes import NEXT
from edgetvm.farm.leases.lease import (
    DAEMON_AGE_S,
    Lease,
    Overview,
    Proof,
    Request,
    Verdict,
    Waiting,
)
from edgetvm.farm.leases.rows import UNHELD
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

# Who waits says so this often.
_SEEN_EVERY_S = 1.0


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
    def _turn(self, *, lasting: bool = False) -> Iterator[tuple[Connection, float]]:
        """A transaction, and the farm's time in it. What is over by then has ended."""
        with storage_errors(self._engine), turn(self._engine, lasting=lasting) as connection:
            now_s = clock.carried_on_s(connection)
            changes.end_what_is_over(connection, now_s)
            yield connection, now_s

    def ask(self, request: Request, *, again: bool = False) -> Lease | Waiting:
        """Ask for a board, and again until one is given; who asks no more leaves the queue.

        Args:
            request: for one board of several.
            again: whether it was asked before, and waits.

        Raises:
            NotFoundError: none of its boards is in the farm.
        """
        if again and (waiting := self._in_vain(request)) is not None:
            return waiting
        with self._turn(lasting=True) as (connection, now_s):
            number = changes.seen_again(connection, request, now_s) if again else None
            queue, free = rows.queue(connection, now_s), rows.free_boards(connection, now_s)
            mine = next((one for one in queue if one.number == number), None)
            if mine is None:
                mine = request.waiting(number=sys.maxsize)
                queue.append(mine)
            board = queueing.board_for(mine.number, queue, free)
            granted = changes.grant(connection, request, board, now_s) if board else None
            if granted is not None:
                return granted
            changes.check_names(connection, request)
            return (
                mine if mine.number == number else changes.enter_queue(connection, request, now_s)
            )

    def take_apart(self, board: str, request: Request) -> Lease | None:
        """A board whatever its health, for who works on it and not with its server.

        The daemon leaves it alone until the lease is over, and proves it anew then.

        Returns:
            None where somebody has it.

        Raises:
            NotFoundError: no such board is in the farm.
        """
        with self._turn(lasting=True) as (connection, now_s):
            changes.check_names(connection, request)
            lease = changes.grant(connection, request, board, now_s)
            if lease is not None:
                changes.without_server(connection, board, request.purpose)
            return lease

    def _in_vain(self, request: Request) -> Waiting | None:
        """The request's place where nothing can be had; without a turn, for which others wait."""
        with storage_errors(self._engine), self._engine.connect() as connection:
            now_s = clock.now_s(connection)
            mine = connection.execute(
                select(WAITING).where(WAITING.c.secret == request.secret)
            ).one_or_none()
            if mine is None or now_s - mine.seen_s > _SEEN_EVERY_S:
                return None
            queue, free = rows.queue(connection, now_s), rows.free_boards(connection, now_s)
            over = any(one.left_s <= 0 for one in rows.open_leases(connection, now_s))
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
            row = rows.open_lease(connection, lease.token, lease.secret)
            connection.execute(
                update(LEASES).where(LEASES.c.token == lease.token).values(beat_s=now_s)
            )
            return rows.lease_of(row, now_s, beat_s=now_s)

    def find(self, token: int, secret: str) -> Lease:
        """An open lease by its words, as it stands.

        Raises:
            LeaseLostError: it is over, or there never was one.
        """
        with storage_errors(self._engine), self._engine.connect() as connection:
            now_s = clock.now_s(connection)
            return rows.lease_of(rows.open_lease(connection, token, secret), now_s)

    def served_at(self, lease: Lease, tracker: Address) -> None:
        """Keep where a lease's server is registered now; the holder learns it by his heartbeat."""
        mine = and_(BOARDS.c.board == lease.board, BOARDS.c.key == lease.key)
        with self._turn() as (connection, _):
            connection.execute(update(BOARDS).where(mine).values(tracker=str(tracker)))

    def end(self, lease: Lease, reason: str = "released") -> bool:
        """Give a board back. False where the lease was over already.

        Nobody gets it before the daemon has ended what the holder left there and proven it good.
        """
        with self._turn(lasting=True) as (connection, now_s):
            which = and_(LEASES.c.token == lease.token, LEASES.c.secret == lease.secret)
            return changes.end_leases(connection, which, reason, now_s) > 0

    def kick(self, board: str, reason: str) -> Lease | None:
        """End whatever lease a board has, and answer with it; None where it has none."""
        with self._turn(lasting=True) as (connection, now_s):
            leases = rows.open_leases(connection, now_s)
            found = next((one for one in leases if one.board == board), None)
            changes.end_leases(connection, LEASES.c.board == board, reason, now_s)
            return found

    def sign_on(self, name: str, tracker: Address) -> None:
        """Say that a daemon serves the farm; again and again, as a sign of life."""
        values = {"tracker": str(tracker), "pid": os.getpid(), "host": socket.gethostname()}
        with self._turn() as (connection, now_s):
            changes.put(connection, DAEMONS, "name", name, {**values, "beat_s": now_s})

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
        with self._turn(lasting=True) as (connection, now_s):
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
            changes.end_leases(
                connection, LEASES.c.board.in_(lost), "board lost: taken out of the farm", now_s
            )
            connection.execute(delete(BOARDS).where(gone))
            for name, profile in boards:
                values = {"profile": profile, "daemon": daemon}
                changes.put(
                    connection,
                    BOARDS,
                    "board",
                    name,
                    values,
                    verdict="unknown",
                    detail="new",
                    revision=0,
                )
                changes.disown(connection, name, "the farm was started", UNHELD)
        return names

    def claim(self, board: str, detail: str, revision: int) -> bool:
        """Take a board that nobody has for the farm's own work: it is given to nobody meanwhile.

        Args:
            board: its name.
            detail: why.
            revision: of what was known of it when that was decided.

        Returns:
            False where somebody has it, it is known otherwise by now, or under maintenance.
        """
        same = and_(UNHELD, BOARDS.c.revision == revision)
        with self._turn() as (connection, _):
            return changes.disown(connection, board, detail, same)

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
        which = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance", UNHELD)
        if again:
            which = and_(which, BOARDS.c.verdict == "good", BOARDS.c.key == proof.key)
        with self._turn() as (connection, now_s):
            done = connection.execute(
                update(BOARDS).where(which).values(**values, proven_s=now_s, revision=NEXT)
            )
            return done.rowcount > 0

    def worse(self, board: str, verdict: Verdict, detail: str) -> bool:
        """Keep that a board is not good, and why; False where somebody has it, or maintains it."""
        with self._turn() as (connection, _):
            which = and_(BOARDS.c.board == board, BOARDS.c.verdict != "maintenance", UNHELD)
            done = connection.execute(
                update(BOARDS)
                .where(which)
                .values(verdict=verdict, detail=detail, key=None, revision=NEXT)
            )
            return done.rowcount > 0

    def maintain(self, board: str, reason: str, *, begins: bool) -> None:
        """Begin or end the maintenance of a board. Its lease, if it has one, goes on.

        Raises:
            NotFoundError: no such board is in the farm.
        """
        verdict = "maintenance" if begins else "unknown"
        with self._turn(lasting=True) as (connection, _):
            found = connection.execute(
                update(BOARDS)
                .where(BOARDS.c.board == board)
                .values(verdict=verdict, detail=reason, revision=NEXT)
            )
            if found.rowcount == 0:
                raise rows.no_such_board((board,), rows.board_names(connection))
            if not begins:
                changes.disown(connection, board, reason, UNHELD)

    def look(self) -> Overview:
        """The farm as it is. Whatever is over by now has ended."""
        with self._turn() as (connection, now_s):
            return rows.overview(connection, now_s)

    def seen(self) -> Overview:
        """The farm as it is, without a turn: leases that nobody has ended yet still stand."""
        with storage_errors(self._engine), self._engine.connect() as connection:
            return rows.overview(connection, clock.now_s(connection))
