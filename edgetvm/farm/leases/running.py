"""A command that runs with a board in hand."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import psutil

from edgetvm.base.errors import LeaseLostError, MissingToolError
from edgetvm.farm.leases.holding import held
from edgetvm.farm.leases.lease import VARIABLE, Lease, Request
from edgetvm.farm.leases.store import LeaseStore

_GRACE_S = 5.0


def run_with_board(
    store: LeaseStore, request: Request, command: Sequence[str], wait_s: float = 0.0
) -> int:
    """Run a command with a lease of a board; the board is given back however it ends.

    The command finds the lease in `$EDGETVM_LEASE`, where edgetvm takes it up. Tracker and key are
    in `$TVM_TRACKER_HOST`, `$TVM_TRACKER_PORT` and `$TVM_TRACKER_KEY`, where TVM's own tuner looks.
    It is ended when the lease is over before it.

    Returns:
        its exit code; 128 and the signal's number where one ended it.

    Raises:
        BoardBusyError, NotFoundError: no board; see `take`.
        LeaseLostError: the lease was over first.
        MissingToolError: there is no such command.
    """
    running: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def end(_: LeaseLostError) -> None:
        started.wait()
        for process in running:
            _end_tree(process.pid)

    if shutil.which(command[0]) is None:
        raise MissingToolError(
            f"there is no command {command[0]!r}", mend="check its name and PATH"
        )
    with held(store, request, wait_s, end) as mine:
        try:
            # Ends with this process, even if that is killed; Ctrl-C reaches both.
            process = subprocess.Popen(
                [sys.executable, "-m", "edgetvm.base.tied", str(os.getpid()), *command],
                env=os.environ | environment(mine.lease),
            )
            running.append(process)
        finally:
            started.set()
        code = _waited(process)
        mine.check()
    return code


def environment(lease: Lease) -> dict[str, str]:
    """Variables by which the command finds its board."""
    found = {VARIABLE: lease.words}
    if lease.tracker is not None and lease.key is not None:
        found |= {
            "TVM_TRACKER_HOST": lease.tracker.host,
            "TVM_TRACKER_PORT": str(lease.tracker.port),
            "TVM_TRACKER_KEY": lease.key,
        }
    return found


def _waited(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end. Ctrl-C and SIGTERM are the command's: it may end in its own way."""

    def forward(number: int, _frame: object) -> None:
        process.send_signal(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, forward),
            signal.SIGHUP: signal.signal(signal.SIGHUP, forward),
        }
    try:
        code = process.wait()
    except BaseException:
        _end_tree(process.pid)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _end_tree(pid: int) -> None:
    """End a process and all below it: asked first, and killed after a while."""
    try:
        leader = psutil.Process(pid)
        tree = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in tree:
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)
    _, left = psutil.wait_procs(tree, timeout=_GRACE_S)
    for process in left:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
