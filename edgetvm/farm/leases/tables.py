"""The farm's tables, and the database that holds them: SQLite, or PostgreSQL by its URL.

A transaction that writes takes its turn first, so that they follow one upon the other. That a board
has one holder does not rest on it: a unique index refuses a second open lease.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.exc import OperationalError

from edgetvm.base.databases import database_errors, make_engine, named
from edgetvm.base.errors import ConfigurationError, StorageError
from edgetvm.farm.leases.stopped import holder_of, let_end

FORMAT = 1
_TURN_DEADLINE_S = 15.0
# Whoever is in his turn for so long is looked at.
_LONG_TURN_S = 1.0
_LOCK = 0x65746C73

METADATA = MetaData()

# One row: the farm's clock, as the last turn left it (see clock.py).
FARM = Table(
    "farm",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("format", Integer, nullable=False),
    Column("now_s", Float(53), nullable=False),
    Column("anchor", String, nullable=False),
    Column("source_s", Float(53), nullable=False),
)
# One row for each process that serves the farm.
DAEMONS = Table(
    "daemons",
    METADATA,
    Column("name", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("tracker", String, nullable=False),
    Column("beat_s", Float(53), nullable=False),
    Column("pid", Integer, nullable=False),
)
BOARDS = Table(
    "boards",
    METADATA,
    Column("board", String, primary_key=True),
    Column("profile", String, nullable=False),
    Column("daemon", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("proven_s", Float(53)),
    Column("temperature_c", Float(53)),
    Column("tracker", String),
    Column("key", String),
)
LEASES = Table(
    "leases",
    METADATA,
    Column("token", Integer, primary_key=True),
    Column("board", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("secret", String, nullable=False),
    Column("ttl_s", Float(53), nullable=False),
    Column("longest_s", Float(53), nullable=False),
    Column("granted_s", Float(53), nullable=False),
    Column("beat_s", Float(53), nullable=False),
    Column("granted_at", Float(53), nullable=False),
    Column("ended_s", Float(53)),
    Column("ended_at", Float(53)),
    Column("reason", Text),
    sqlite_autoincrement=True,
)
_OPEN = LEASES.c.ended_s.is_(None)
Index(
    "one_holder_of_a_board",
    LEASES.c.board,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index("leases_that_ended", LEASES.c.ended_s)
WAITING = Table(
    "waiting",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("boards", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("secret", String, nullable=False, unique=True),
    Column("since_s", Float(53), nullable=False),
    Column("seen_s", Float(53), nullable=False),
    sqlite_autoincrement=True,
)


def open_database(url: str) -> Engine:
    """The engine of a database whose tables are there.

    Args:
        url: as SQLAlchemy writes it: `sqlite:////home/me/farm.sqlite`, `postgresql://host/farm`.

    Raises:
        UsageError: it is no such URL.
        MissingToolError: the driver is not installed.
        StorageError: it cannot be opened.
        ConfigurationError: its tables are those of a newer edgetvm.
    """
    engine = _engine(url)
    with storage_errors(engine):
        with turn(engine) as connection:
            METADATA.create_all(connection)
            if connection.execute(text("SELECT COUNT(*) FROM farm")).scalar() == 0:
                connection.execute(
                    FARM.insert().values(id=1, format=FORMAT, now_s=0, anchor="", source_s=0)
                )
        with engine.connect() as connection:
            found = connection.execute(text("SELECT format FROM farm")).scalar()
    if found != FORMAT:
        engine.dispose()
        raise ConfigurationError(
            f"the farm's database has format {found}, and this edgetvm knows {FORMAT}",
            where=named(engine),
            mend="update edgetvm, or name another database",
        )
    return engine


def _engine(url: str) -> Engine:
    # A process that is stopped inside its turn must not hold up all others.
    limits = "-c lock_timeout=15000 -c idle_in_transaction_session_timeout=5000"
    pool = {"pool_size": 2, "max_overflow": 8}
    engine = make_engine(
        url,
        mode=0o600,  # secrets of leases stand in it
        # A transaction that writes says so itself, and waits by itself: see `turn`.
        of_file=pool | {"connect_args": {"timeout": 0, "isolation_level": None}},
        of_server=pool
        | {"connect_args": {"connect_timeout": 10, "options": limits}, "pool_pre_ping": True},
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    _patiently(partial(connection.execute, "PRAGMA journal_mode=WAL"))


def _patiently(ask: Callable[[], object], held_up: Callable[[], object] = lambda: None) -> None:
    """Ask SQLite until nobody is in the way. Its own waiting is uneven: up to 100 ms at a time.

    Args:
        ask: raises as long as somebody is.
        held_up: is called now and then while that is so.
    """
    began_s = time.monotonic()
    look_at_s, pause_s = began_s + _LONG_TURN_S, 0.0005
    while True:
        try:
            ask()
        except (sqlite3.OperationalError, OperationalError) as error:
            now_s = time.monotonic()
            if "is locked" not in str(error) or now_s > began_s + _TURN_DEADLINE_S:
                raise
            if now_s > look_at_s:
                held_up()
                look_at_s = time.monotonic() + _LONG_TURN_S
            time.sleep(random.uniform(0, pause_s))  # noqa: S311 - who comes first is no secret
            pause_s = min(2 * pause_s, 0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Take a turn in SQLite.

    Raises:
        StorageError: another process does not come to the end of its own.
    """
    database = Path(str(connection.engine.url.database))
    try:
        _patiently(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"), lambda: let_end(database))
    except OperationalError as error:
        pid = holder_of(database)
        if pid is None:
            raise
        raise StorageError(
            f"the farm's database cannot be used: process {pid} has been writing to it for more "
            f"than {_TURN_DEADLINE_S:g} s",
            where=named(connection.engine),
            mend=f"is it stopped? kill -CONT {pid}, or end it",
        ) from error


@contextmanager
def turn(engine: Engine, *, lasting: bool = True) -> Iterator[Connection]:
    """A transaction that writes: one at a time, kept whole or not at all.

    Args:
        engine: of the database.
        lasting: whether it is on the disk at its end, for a power failure. Without it, too, the end
            of a process does no harm, and others need not wait for the disk.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            level = "FULL" if lasting else "NORMAL"
            connection.exec_driver_sql(f"PRAGMA synchronous={level}")
            _begin(connection)
        else:
            if not lasting:
                connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield connection
        connection.commit()


def storage_errors(engine: Engine) -> AbstractContextManager[None]:
    """Turn what the database complains of into a StorageError that names it."""
    what = "the farm's database cannot be used"
    return database_errors(engine, what, "is the disk full, or is the server down?")
