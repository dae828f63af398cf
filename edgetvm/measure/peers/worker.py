"""One engine on one model in a process of its own: loads, answers, and runs when it is told to.

    python -m edgetvm.measure.peers.worker DESCRIPTOR MODULE

DESCRIPTOR is of a pipe from the caller, MODULE has the function `load` of a task.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection

from edgetvm.measure.peers.case import Loaded, Task

_PR_SET_PDEATHSIG = 1
_ENOUGH = 500


def _die_with_parent() -> None:
    """A stopped process would outlive the coordinator: it never reads that its pipe was closed."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def timed(loaded: Loaded, warm_s: float, seconds: float, least: int) -> list[int]:
    """Samples in nanoseconds: of `seconds`, and at least so many, after runs that do not count.

    What was asleep or stopped must be awake again: threads, clocks, caches. Of very many, some at
    even distances are enough.
    """
    run = loaded.run
    warm_until = time.perf_counter() + warm_s
    run()
    while time.perf_counter() < warm_until:
        run()
    samples = []
    gc.disable()
    until = time.perf_counter_ns() + int(seconds * 1e9)
    while True:
        began = time.perf_counter_ns()
        run()
        ended = time.perf_counter_ns()
        samples.append(ended - began)
        if ended >= until and len(samples) >= least:
            break
    gc.enable()
    return samples[:: max(1, len(samples) // _ENOUGH)]


def main() -> None:
    """Load the task that comes first, then time as often as asked."""
    _die_with_parent()
    with Connection(int(sys.argv[1])) as connection:
        task: Task = connection.recv()
        load = import_module(sys.argv[2]).load
        try:
            loaded = load(task)
            answers = loaded.outputs()
        except Exception as error:  # whatever an engine raises is its reason to be left out
            reason = str(error).strip().splitlines() or [type(error).__name__]
            connection.send(("refused", f"{type(error).__name__}: {reason[-1]:.300}"))
            return
        connection.send(("ready", loaded.facts, answers))
        while True:
            try:
                connection.send(timed(loaded, *connection.recv()))
            except EOFError:
                return


if __name__ == "__main__":
    main()
