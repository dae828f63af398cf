"""The tables that measurements are kept in, and the database that holds them.

SQLite in the user's folder, or PostgreSQL by its URL.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
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
    event,
)

from edgetvm.base.databases import database_errors, make_engine

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
# What came of the parts of experiments, in the order noted: see `measure.experiment.ledger`.
EXPERIMENTS = Table(
    "experiments",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", String, nullable=False),
    Column("part", String, nullable=False),
    Column("session", String, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
Index("experiments_of_a_key", EXPERIMENTS.c.key)


def open_database(url: str) -> Engine:
    """The engine of a database whose tables are there.

    Args:
        url: as SQLAlchemy writes it: `sqlite:////home/me/results.sqlite`, `postgresql://host/name`.

    Raises:
        UsageError: it is no such URL.
        MissingToolError: the driver is not installed.
        StorageError: it cannot be opened.
    """
    engine = make_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    with store_errors(engine):
        METADATA.create_all(engine)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    for words in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {words}")


def store_errors(engine: Engine) -> AbstractContextManager[None]:
    """Turn what the database complains of into a StorageError that names it."""
    what = "measurements cannot be kept or read"
    mend = "is the disk full, is it a database of edgetvm's, or is its server down?"
    return database_errors(engine, what, mend)
