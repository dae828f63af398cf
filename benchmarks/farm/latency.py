"""How long a lease takes of many boards on one tracker, while others take and give back."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

from edgetvm.base.errors import BoardBusyError
from edgetvm.farm.leases import Lease, LeaseStore, Request


def latencies_ms(folder: Path, *, boards: int, leases: int, clients: int) -> list[float]:
    """From the question to the board in hand.

    Args:
        folder: for all files; empty.
        boards: simulated: each a server of its own in the program for boards.
        leases: to take, one after the other for each client.
        clients: at the same time.
    """
    names = [f"board{index}" for index in range(boards)]
    url = f"sqlite:///{folder}/farm.sqlite"
    words = [sys.executable, "-m", "benchmarks.farm.daemon", url, str(folder), *names]
    found: list[float] = []
    with LeaseStore(url) as store:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
        try:
            _wait_until_good(store, boards)
            share = -(-leases // clients)
            threads = [
                threading.Thread(target=_take, args=(store, names, share, index, found))
                for index in range(clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
    return found


def _wait_until_good(store: LeaseStore, boards: int) -> None:
    until_s = time.monotonic() + 120
    while sum(one.verdict == "good" for one in store.seen().boards) < boards:
        if time.monotonic() > until_s:
            raise RuntimeError("the boards did not come up")
        time.sleep(0.2)


def _take(store: LeaseStore, names: list[str], count: int, seed: int, found: list[float]) -> None:
    random = Random(seed)  # noqa: S311 - which boards
    for _ in range(count):
        began_s = time.perf_counter()
        request = Request(tuple(random.sample(names, len(names))), purpose="latency")
        lease = store.ask(request)
        if not isinstance(lease, Lease):
            raise BoardBusyError("no board is free: fewer clients are needed")
        found.append(1000 * (time.perf_counter() - began_s))
        store.beat(lease)
        time.sleep(random.uniform(0.2, 0.8))
        store.end(lease)
        time.sleep(random.uniform(0.2, 0.8))
