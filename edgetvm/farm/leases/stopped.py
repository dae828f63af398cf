"""Whoever is stopped in the middle of a turn in SQLite, and so holds up all others.

A turn takes milliseconds, but Ctrl-Z may fall into it, and SQLite keeps its lock for a stopped
process. It is let go on for the rest of its turn, and stopped again. (PostgreSQL ends such turns by
itself: see `tables._engine`.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

# The byte of the -shm file that who writes has locked: https://www.sqlite.org/walformat.html, 2.3.
_WRITE_LOCK = "120"
# By the kernel's list: to open and close the file here would give up this process's own locks.
_LOCKS = Path("/proc/locks")
_REST_S = 1.0


def holder_of(database: Path) -> int | None:
    """The process that is in its turn now, if this one can see it."""
    try:
        file = database.with_name(f"{database.name}-shm").stat()
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in lines:
        # `1: POSIX  ADVISORY  WRITE 1327 fe:00:2433285 120 120`; who waits has `->` after `1:`.
        words = line.split()
        if words[3] == "WRITE" and words[5:7] == [place, _WRITE_LOCK]:
            return int(words[4])
    return None


def let_end(database: Path) -> None:
    """Have who is stopped in his turn end it. A process under a debugger stays as it is."""
    pid = holder_of(database)
    if pid is None or not _is_stopped(pid):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGCONT)
        until_s = time.monotonic() + _REST_S
        while holder_of(database) == pid and time.monotonic() < until_s:
            time.sleep(0.001)
        os.kill(pid, signal.SIGSTOP)


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False
