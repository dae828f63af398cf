"""A process that does one job after the other on a farm's boards, and writes down what it saw.

Its jobs are like those of bench (one session, many questions), tune (a trial a session) and
provision (a large file that must arrive whole). Each result is kept in a tuning database before it
is noted as kept.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.farm.history import now_ns
from benchmarks.farm.program_boards import PROFILE
from edgetvm.base.errors import EdgetvmError
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm.inventory import Board
from edgetvm.farm.jobs import ending_of
from edgetvm.farm.leases import Held, LeaseStore, Request, held
from edgetvm.farm.session import BoardSession, connect
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions, Trial

TTL_S = 3.0
_CONDITIONS = Conditions(PROFILE, "x86_64", 3, 1)
_CALL_S = 4.0


class Worker:
    """One process's journal, and its jobs."""

    def __init__(self, store: LeaseStore, folder: Path, names: list[str]) -> None:
        self._store, self._names = store, names
        self._database = TuningDatabase(folder / "results.sqlite")
        journal = folder / f"{os.getpid()}.journal"
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._random = random.Random()  # noqa: S311 - what is done next

    def note(self, **entry: Any) -> None:
        """Write something down so that it outlives this process."""
        line = json.dumps({"at_ns": now_ns(), "pid": os.getpid(), **entry}) + "\n"
        os.write(self._journal, line.encode())
        os.fsync(self._journal)

    def do_one(self) -> bool:
        """One job, and how it ended; answers whether well."""
        name, job = self._random.choice(list(JOBS.items()))
        count = self._random.randint(1, len(self._names))
        wanted = tuple(self._random.sample(self._names, count))
        request = Request(wanted, purpose=name, ttl_s=TTL_S)
        began_ns = now_ns()
        try:
            with held(self._store, request, wait_s=5.0) as mine:
                waited_ms = (now_ns() - began_ns) / 1e6
                self.note(granted=mine.lease.board, token=mine.lease.token, waited_ms=waited_ms)
                job(self, mine)
        except EdgetvmError as error:
            self.note(job=name, ending=ending_of(error), why=str(error))
            return False
        self.note(job=name, ending="ok")
        return True

    def seen(self, mine: Held, asked_ns: int) -> None:
        """The board has answered to the holder of this lease, who asked at that time.

        Between the answer and this note the process may have been stopped for long.
        """
        self.note(answered=mine.lease.board, token=mine.lease.token, asked_ns=asked_ns)

    def keep(self, mine: Held, what: str) -> None:
        """Keep a result, and note that it is kept."""
        trial = Trial(
            what, what, KernelChoice("none"), {}, "ok", (1.0,), 1.0, "", mine.lease.board, {}
        )
        self.note(kept=self._database.append(None, _CONDITIONS, trial))


def _bench(worker: Worker, mine: Held) -> None:
    board = Board(mine.lease.board, PROFILE, hand=mine)
    with connect(board) as session:
        for _ in range(5):
            worker.seen(mine, _asked(session))
    worker.keep(mine, "bench")


def _tune(worker: Worker, mine: Held) -> None:
    board = Board(mine.lease.board, PROFILE, hand=mine)
    for _ in range(3):
        with connect(board) as session:
            worker.seen(mine, _asked(session))
        worker.keep(mine, "tune")


def _provision(worker: Worker, mine: Held) -> None:
    board = Board(mine.lease.board, PROFILE, hand=mine)
    sent = os.urandom(200_000)

    def exchanged() -> bytes:
        session._remote.upload(bytearray(sent), "file")
        return bytes(session._remote.download("file"))

    with connect(board) as session:
        asked_ns = now_ns()
        came = session._call(exchanged, "receiving a file", _CALL_S)
        worker.seen(mine, asked_ns)
    if hashlib.sha256(came).digest() != hashlib.sha256(sent).digest():
        worker.note(torn=mine.lease.board)
    worker.keep(mine, "provision")


def _asked(session: BoardSession) -> int:
    """When a question was asked that has been answered."""
    asked_ns = now_ns()
    session.facts(_CALL_S)
    return asked_ns


JOBS: dict[str, Callable[[Worker, Held], None]] = {
    "bench": _bench,
    "tune": _tune,
    "provision": _provision,
}


def stacks_of(folder: Path, pid: int) -> Path:
    """Where a worker writes what its threads do, at SIGUSR2."""
    return folder / f"{pid}.stacks"


def work(url: str, folder: Path, names: list[str]) -> None:
    """One job after the other, until SIGUSR1; at SIGUSR2 it tells what it is at."""
    over = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: over.set())
    with LeaseStore(url) as store, stacks_of(folder, os.getpid()).open("w") as stacks:
        faulthandler.register(signal.SIGUSR2, stacks, all_threads=True)
        worker = Worker(store, folder, names)
        while not over.is_set():
            if not worker.do_one():
                over.wait(0.1)


def main() -> None:
    """Become a new worker for each line of stdin, and tell its PID: TVM is imported but once."""
    from tvm import rpc  # noqa: F401

    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("boards", nargs="+")
    told = parser.parse_args()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for _ in sys.stdin:
        if (pid := os.fork()) == 0:
            with contextlib.suppress(KeyboardInterrupt):
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                work(told.url, told.folder, told.boards)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
