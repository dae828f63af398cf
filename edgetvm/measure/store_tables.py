"""The tables that measurements are kept in, and the database that holds them.

SQLite in the user's folder, or PostgreSQL by its URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from edgetvm.base.errors import MissingToolError, StorageError, UsageError
from edgetvm.base.files import storage_errors

METADATA = MetaData()

# A measurement without its samples: the document is `measurement.to_json` of it.
MEASUREMENTS = Table(
    "measurements",
    METADATA,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("device", String, nullable=False),
    Column("scenario", String, nullable=False),
    Column("tuned", Boolean, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
Index("measurements_of_a_model", MEASUREMENTS.c.model, MEASUREMENTS.c.device)
# Its samples in pieces, in order: little-endian int64, nanoseconds.
SAMPLES = Table(
    "samples",
    METADATA,
    Column("measurement", String, ForeignKey("measurements.id"), primary_key=True),
    Column("piece", Integer, primary_key=True),
    Column("values_ns", LargeBinary, nullable=False),
)


def open_database(url: str) -> Engine:
    """The engine of a database whose tables are there.

    Args:
        url: as SQLAlchemy writes it: `sqlite:////home/me/results.sqlite`, `postgresql://host/name`.

    Raises:
        UsageError: it is no such URL.
        MissingToolError: the driver is not installed.
        StorageError: it cannot be opened.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            folder = Path(parsed.database).parent
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(
            f"{url!r} names no database",
            mend="write sqlite:////PATH or postgresql://USER@HOST/NAME",
        ) from error
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed",
            mend="pip install 'edgetvm[farm]'",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    with database_errors(engine):
        METADATA.create_all(engine)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    for words in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {words}")


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn what the database complains of into a StorageError that names it.

    Raises:
        StorageError: for every error of the database.
    """
    try:
        yield
    except DBAPIError as error:
        words = str(error.orig or error).strip().splitlines()
        url = engine.url
        raise StorageError(
            f"measurements cannot be kept or read: {words[0] if words else type(error).__name__}",
            where=str(url.database) if url.get_backend_name() == "sqlite" else str(url),
            mend="is the disk full, is it a database of edgetvm's, or is its server down?",
        ) from error
