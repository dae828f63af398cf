"""The farm's daemon, started and stopped from a shell."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from edgetvm.base.errors import BoardError, UsageError
from edgetvm.base.files import storage_errors
from edgetvm.base.paths import data_folder
from edgetvm.base.steps import step
from edgetvm.farm.inventory import LOCAL, Board, inventory_path, load_inventory
from edgetvm.farm.known_farm import farm_url
from edgetvm.farm.leases import LeaseStore, Overview
from edgetvm.farm.leases.lease import Daemon
from edgetvm.farm.selection import find_boards

_MODULE = "edgetvm.farm.keeping.daemon"
_STARTS_S = 60.0
_ENDS_S = 30.0


def log_path() -> Path:
    """What the daemon says: `farm.log` in the user's data folder."""
    return data_folder() / "farm.log"


def this_daemon() -> str:
    """The name of this host's daemon."""
    return socket.gethostname()


def boards_to_serve(selection: Sequence[str]) -> list[Board]:
    """The boards that are meant; all of the inventory but this machine without a word.

    Raises:
        UsageError: there is none.
        NotFoundError, ConfigurationError: see `find_boards`.
    """
    if selection:
        return find_boards(" ".join(selection))
    found = [board for name, board in load_inventory().items() if name != LOCAL.name]
    if not found:
        raise UsageError(
            f"{inventory_path()} has no board to serve",
            mend="add one: edgetvm devices add; or serve this machine: edgetvm farm up local",
        )
    return found


def up(boards: Sequence[Board], port: int = 0) -> Overview:
    """Start this host's daemon, and wait until it serves.

    Args:
        boards: to serve.
        port: of the tracker; see `Daemon`.

    Raises:
        UsageError: it is up already.
        BoardError: it did not come up.
        StorageError: its log cannot be written.
    """
    names = ",".join(board.name for board in boards)
    words = [sys.executable, "-m", _MODULE, "--name", this_daemon(), "--boards", names]
    with step("start the farm") as this, LeaseStore(farm_url()) as store, _alone():
        if _mine(store) is not None:
            raise UsageError("the farm is up already", mend="end it first: edgetvm farm down")
        with storage_errors(log_path()), log_path().open("ab") as log:
            process = subprocess.Popen(
                [*words, "--port", str(port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            mine = _started(store, process)
        except BaseException:
            process.terminate()
            raise
        this.detail = f"tracker {mine.tracker}"
        return store.seen()


def _started(store: LeaseStore, process: subprocess.Popen[bytes]) -> Daemon:
    until_s = time.monotonic() + _STARTS_S
    while (mine := _mine(store)) is None or mine.pid != process.pid:
        if process.poll() is not None or time.monotonic() > until_s:
            raise BoardError("the farm did not come up", mend=f"it says why in {log_path()}")
        time.sleep(0.1)
    return mine


def down() -> None:
    """Stop this host's daemon. Leases stay, and their boards are served again with the next.

    Raises:
        BoardError: it is not up, or does not end.
    """
    with step("stop the farm"), LeaseStore(farm_url()) as store, _alone():
        mine = _mine(store)
        if mine is None:
            raise BoardError("no farm of this host is up", mend="start one: edgetvm farm up")
        with contextlib.suppress(ProcessLookupError):
            os.kill(mine.pid, signal.SIGTERM)
        until_s = time.monotonic() + _ENDS_S
        while _is_daemon(mine.pid):
            if time.monotonic() > until_s:
                raise BoardError(
                    f"the farm's process {mine.pid} does not end", mend=f"kill -9 {mine.pid}"
                )
            time.sleep(0.1)
        store.sign_off(mine.name)


def _mine(store: LeaseStore) -> Daemon | None:
    """This host's daemon, if it runs; a row that a killed one left does not count."""
    for one in store.seen().daemons:
        if one.name == this_daemon() and _is_daemon(one.pid):
            return one
    return None


def _is_daemon(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return _MODULE in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One at a time starts or stops it."""
    path = data_folder() / "farm.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
