"""Which cores the threads of a run are on: none on its caller's.

TVM's worker threads spin, and so does the caller while it waits for them: the system then sees two
busy threads that give way to each other all the time, and may leave both on one core for seconds.
Pinning the caller would help too, but all threads that it starts later would inherit its one core.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_ALLOWED = os.sched_getaffinity(0)
_sched_getcpu = ctypes.CDLL(None).sched_getcpu


class _Pool(threading.local):
    """The workers that TVM keeps for this thread: each thread that asks for work has its own.

    Attributes:
        workers: of the system's numbers; None before the pool is asked for. Empty where it was
            there before: nobody knows then which threads they are.
        core: that they were last kept off, by whatever run.
    """

    workers: tuple[int, ...] | None = None
    core = -1


_POOL = _Pool()


def noting_workers(call: Callable[[], T]) -> T:
    """A call that starts TVM's workers for this thread, where they are not there."""
    if _POOL.workers is not None:
        return call()
    before = _tasks()
    result = call()
    _POOL.workers = tuple(sorted(_tasks() - before))
    return result


def apart(run: Callable[[], T], threads: int) -> Callable[[], T]:
    """The run, with the workers kept off the core that it is called on.

    Args:
        run: shares its work with workers.
        threads: that share the work, the caller's included.
    """
    allowed = os.sched_getaffinity(0)
    if not 1 < threads <= len(allowed):
        return run

    def placing_run() -> T:
        core = _sched_getcpu()
        if _POOL.core == core:
            return run()
        if _POOL.workers is None:
            return noting_workers(run)
        # With others among them nobody knows which are TVM's.
        if len(_POOL.workers) == threads - 1:
            _place(_POOL.workers, sorted(allowed - {core}))
        _POOL.core = core
        return run()

    return placing_run


def keep_apart() -> int:
    """Start this thread's workers, and give them and this thread cores of their own.

    For a process that does nothing but time kernels: threads that it starts later stay on this
    one's core. Answers with how many threads share work, the caller's included.
    """
    import tvm

    os.environ.setdefault("TVM_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    count = tvm.get_global_func("runtime.NumThreads")
    threads = int(noting_workers(count))
    if threads > 1:
        os.sched_setaffinity(0, _ALLOWED)
        apart(count, threads)()
        os.sched_setaffinity(0, {_sched_getcpu()})
    return threads


def _place(workers: tuple[int, ...], cores: list[int]) -> None:
    """One core for each, or any of them where there are more: the system knows their neighbours."""
    each = [{core} for core in cores] if len(cores) == len(workers) else [set(cores)] * len(workers)
    for worker, own in zip(workers, each, strict=False):
        with contextlib.suppress(OSError):  # it has ended with the thread that had started it
            os.sched_setaffinity(worker, own)


def _tasks() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}
