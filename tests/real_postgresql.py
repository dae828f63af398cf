"""A real PostgreSQL server of the test's own, from Debian's package."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PACKAGED = Path("/usr/lib/postgresql")
# It refuses to run as root.
_ACCOUNT = "postgres"


def _programs() -> Path:
    found = sorted(_PACKAGED.glob("*/bin/initdb"))
    if not found:
        pytest.fail(
            "PostgreSQL is not installed: scripts/setup test, or apt-get install postgresql"
        )
    return found[-1].parent


@contextmanager
def postgresql() -> Iterator[str]:
    """Its URL; it listens on a socket in a folder of its own."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="edgetvm-pg-", dir="/tmp"))
    account = pwd.getpwnam(_ACCOUNT) if os.geteuid() == 0 else None
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)

    def run(*words: str | Path) -> None:
        subprocess.run(
            list(map(str, words)),
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    data = folder / "data"
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    try:
        run(programs / "initdb", "-D", data, "-U", "farm", "-A", "trust", "--no-sync")
        run(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield f"postgresql://farm@/postgres?host={folder}"
        finally:
            run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
