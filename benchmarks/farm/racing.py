"""Processes that race for boards: each takes one, makes sure that it is alone, and gives it back.

Beside the leases, an independent witness: a file for each board that only one can make at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.farm.history import Held, now_ns, read, write
from edgetvm.farm.leases import Lease, LeaseStore, Proof, Request
from edgetvm.farm.tracker_client import Address

_NOWHERE = Address("127.0.0.1", 9)
DAEMON = "race"
_RANDOM = Random()  # noqa: S311 - instants


@dataclass(frozen=True)
class Race:
    """What came of it.

    Attributes:
        acquires: how often a board was asked for.
        held: what was had, as its holders know it.
        witnessed: how often a holder found another at his board.
    """

    acquires: int
    held: list[Held]
    witnessed: int


def offer(store: LeaseStore, board: str) -> None:
    """What a daemon does when a board came back: fence it, prove it, offer it anew."""
    (seen,) = [one for one in store.seen().boards if one.board == board]
    if seen.verdict != "good" and store.claim(board, "racing", seen.revision):
        store.proven(board, Proof(_NOWHERE, f"{board}-{_RANDOM.getrandbits(64):x}"))


def race(
    url: str, folder: Path, *, processes: int, threads: int, boards: int, acquires: int
) -> Race:
    """Race until boards have been asked for so often.

    Args:
        url: of the farm's database.
        folder: for what processes write down; empty.
        processes, threads: how many race, the latter in each process.
        boards: that they race for.
        acquires: in all.
    """
    names = [f"board{index}" for index in range(boards)]
    with LeaseStore(url) as store:
        store.enlist(DAEMON, [(name, "simulated") for name in names])
        for name in names:
            offer(store, name)
    share = -(-acquires // processes)
    words = [sys.executable, "-m", "benchmarks.farm.racing", url, str(folder), str(share)]
    words += [str(threads), *names]
    running = [subprocess.Popen([*words, "--who", str(index)]) for index in range(processes)]
    for process in running:
        if process.wait() != 0:
            raise RuntimeError(f"a racer ended with {process.returncode}")
    witnessed = sum(1 for _ in folder.glob("*.double"))
    return Race(share * processes, read(sorted(folder.glob("*.held"))), witnessed)


class _Racer:
    """One process: its threads share the number of acquires that are left."""

    def __init__(self, store: LeaseStore, folder: Path, who: str, boards: Sequence[str]) -> None:
        self._store, self._folder, self._who, self._boards = store, folder, who, boards
        self.held: list[dict[str, object]] = []

    def run(self, acquires: int, name: str) -> None:
        store, left = self._store, acquires
        while left > 0:
            wanted = _RANDOM.sample(self._boards, _RANDOM.randint(1, len(self._boards)))
            request = Request(tuple(wanted), owner=f"{self._who}/{name}")
            again = False
            while left > 0:
                left -= 1
                found = store.ask(request, again=again)
                again = True
                if isinstance(found, Lease):
                    self._have(found)
                    break
                if left == 0 or _RANDOM.random() < 0.1:
                    store.withdraw(request)
                    break
                time.sleep(_RANDOM.uniform(0, 0.05))

    def _have(self, lease: Lease) -> None:
        from_ns = now_ns()
        with self._alone(lease):
            time.sleep(_RANDOM.uniform(0, 0.002))
            to_ns = now_ns()
        self.held.append(
            {"board": lease.board, "token": lease.token, "who": lease.owner,
             "from_ns": from_ns, "to_ns": to_ns}
        )  # fmt: skip
        self._store.end(lease)
        offer(self._store, lease.board)

    @contextlib.contextmanager
    def _alone(self, lease: Lease) -> Iterator[None]:
        """Leave a sign where another is at the same board."""
        sign = self._folder / f"{lease.board}.in-hand"
        try:
            os.close(os.open(sign, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            (self._folder / f"{lease.token}.double").touch()
        yield
        sign.unlink(missing_ok=True)


def main() -> None:
    """One racing process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("acquires", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("boards", nargs="+")
    parser.add_argument("--who", required=True)
    told = parser.parse_args()
    with LeaseStore(told.url) as store:
        racer = _Racer(store, told.folder, told.who, told.boards)
        share = -(-told.acquires // told.threads)
        threads = [
            threading.Thread(target=racer.run, args=(share, str(index)))
            for index in range(told.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    write(told.folder / f"{told.who}.held", racer.held)


if __name__ == "__main__":
    main()
