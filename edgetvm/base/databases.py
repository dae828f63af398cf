"""Databases by their URL: a file of SQLite's, or a server of PostgreSQL's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoneFreeError

from edgetvm.base.errors import MissingToolError, StorageError, UsageError
from edgetvm.base.files import storage_errors

_HELD = ("is locked", "lock timeout", "QueuePool limit")


def make_engine(
    url: str,
    *,
    mode: int = 0o666,
    of_file: Mapping[str, Any] | None = None,
    of_server: Mapping[str, Any] | None = None,
) -> Engine:
    """The engine of a database. Nothing is asked of it yet.

    Args:
        url: as SQLAlchemy writes it: `sqlite:////home/me/farm.sqlite`, `postgresql://host/farm`.
        mode: permissions of a new file, less what the process's umask takes away.
        of_file, of_server: arguments of the engine for either kind.

    Raises:
        UsageError: it is no such URL.
        MissingToolError: the driver is not installed.
        StorageError: the file cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        kind = parsed.get_backend_name()
        if kind not in ("sqlite", "postgresql"):
            raise ArgumentError("it is neither SQLite nor PostgreSQL")
        if kind == "sqlite" and parsed.database:
            _make_file(Path(parsed.database), mode)
        return create_engine(parsed, **(of_file if kind == "sqlite" else of_server) or {})
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(
            f"{url!r} names no database: {error}",
            mend="write sqlite:////PATH or postgresql://USER@HOST/NAME",
        ) from error
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"the Python package {error.name} is not installed",
            mend="pip install 'edgetvm[farm]'",
        ) from error


def _make_file(path: Path, mode: int) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode)


@contextmanager
def database_errors(engine: Engine, what: str, mend: str) -> Iterator[None]:
    """Turn what a database complains of into a StorageError that names it.

    Args:
        what: cannot be done.
        mend: unless others hold it.

    Raises:
        StorageError: for every error of the database, and where no connection becomes free.
    """
    try:
        yield
    except (DBAPIError, NoneFreeError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        words = str(cause).strip().splitlines()
        is_held = any(one in str(cause) for one in _HELD)
        raise StorageError(
            f"{what}: {words[0] if words else type(error).__name__}",
            where=named(engine),
            mend="others hold it: is one stopped in the middle of its work?" if is_held else mend,
        ) from error


def named(engine: Engine) -> str:
    """The database in words, without its password."""
    url = engine.url
    return str(url.database) if engine.dialect.name == "sqlite" else url.render_as_string()
