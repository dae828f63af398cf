"""Who is stopped in the middle of a turn in SQLite, where that would hold up all others."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from real_board import within

from benchmarks.farm.racing import offer
from edgetvm.base.errors import StorageError
from edgetvm.farm.leases import Lease, LeaseStore, Request
from edgetvm.farm.leases.stopped import holder_of

IN_TURN = """
import os, signal, sys, time
from edgetvm.farm.leases import LeaseStore
with LeaseStore(sys.argv[1]) as store:
    with store._turn():
        print("in", flush=True)
        {}
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LeaseStore]:
    """A farm of one board, proven good."""
    with LeaseStore(f"sqlite:///{tmp_path}/farm.sqlite") as opened:
        opened.enlist("daemon", [("a", "desk")])
        offer(opened, "a")
        yield opened


@contextmanager
def in_its_turn(store: LeaseStore, deed: str) -> Iterator[psutil.Process]:
    """A process that is in its turn, and does something there."""
    with subprocess.Popen(
        [sys.executable, "-c", IN_TURN.format(deed), store.url], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def is_stopped(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_STOPPED


def test_who_is_stopped_in_his_turn_ends_it_and_is_stopped_again(
    store: LeaseStore, tmp_path: Path
) -> None:
    with in_its_turn(store, "os.kill(os.getpid(), signal.SIGSTOP)") as process:
        assert within(5, lambda: is_stopped(process))
        assert holder_of(tmp_path / "farm.sqlite") == process.pid
        assert store.seen().boards[0].verdict == "good", "who only reads is not held up"
        lease = store.ask(Request(("a",)))
        assert isinstance(lease, Lease)
        assert within(5, lambda: is_stopped(process))
        assert store.beat(lease).token == lease.token
        process.send_signal(signal.SIGCONT)
        assert within(5, lambda: not is_stopped(process))


def test_who_does_not_end_his_turn_is_told_by_his_number(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetvm.farm.leases.tables._LONG_TURN_S", 0.1)
    monkeypatch.setattr("edgetvm.farm.leases.tables._TURN_DEADLINE_S", 0.5)
    with in_its_turn(store, "time.sleep(60)") as process:
        told = rf"process {process.pid} has been writing .*kill -CONT {process.pid}, or end it"
        with pytest.raises(StorageError, match=told):
            store.look()
        assert not is_stopped(process)
        assert store.seen().leases == ()
    assert store.look().leases == ()
