"""The workers of one model: started side by side, asleep unless it is their turn."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from edgetvm.measure.peers.case import Arrays, Task

_STOP_TIMEOUT_S = 5
# A turn is seconds; a worker that needs this much longer hangs.
_TURN_GRACE_S = 120


# Fields of proc(5)'s stat after the name, and states that are no running: stopped, and dead.
_STATE, _USER, _SYSTEM = 0, 11, 12
_ASLEEP = ("T", "Z")


def _stat(pid: int) -> list[str]:
    """What the kernel tells of a child; boards have no psutil."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class WorkerLost(Exception):
    """A worker that died, hangs or refused its model, and why."""


def _python_path(task: Task) -> dict[str, str]:
    if not task.packages:
        return {}
    paths = (task.packages, os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


class Worker:
    """The coordinator's end of one worker process.

    Attributes:
        task: what it runs.
        facts: from the engine, once it is ready.
        answers: its outputs, likewise.
    """

    def __init__(self, task: Task, loader: str) -> None:
        self.task = task
        self.facts: dict[str, Any] = {}
        self.answers: Arrays = []
        self.connection, theirs = Pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        threads = str(task.threads)
        words = [str(theirs.fileno()), loader]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgetvm.measure.peers.worker", *words],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            process_group=0,
            env={
                **os.environ,
                **_python_path(task),
                "OMP_NUM_THREADS": threads,
                "TVM_NUM_THREADS": threads,
                "TVM_BIND_THREADS": "0",
            },
        )
        theirs.close()
        self.connection.send(task)

    def greet(self) -> None:
        """Read what a worker says when it has loaded its model.

        Raises:
            WorkerLost: it has not.
        """
        message = self._received()
        if message[0] == "refused":
            raise WorkerLost(message[1])
        _, self.facts, self.answers = message

    def _received(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise WorkerLost(self._epitaph()) from None

    def _epitaph(self) -> str:
        code = self.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f"the process died: {how}" + (f": {lines[-1]:.200}" if lines else "")

    def pause(self) -> None:
        """Stop all its threads, spinning ones too."""
        os.kill(self.process.pid, signal.SIGSTOP)
        until = time.monotonic() + _STOP_TIMEOUT_S
        while _stat(self.process.pid)[_STATE] not in _ASLEEP:
            if time.monotonic() > until:
                raise WorkerLost("it cannot be stopped")
            time.sleep(0.001)

    def turn(self, warm_s: float, seconds: float, least: int) -> list[int]:
        """Samples of one turn; the worker is asleep before and after it.

        Raises:
            WorkerLost: it died or hangs.
        """
        os.kill(self.process.pid, signal.SIGCONT)
        try:
            self.connection.send((warm_s, seconds, least))
            in_time = self.connection.poll(warm_s + seconds + _TURN_GRACE_S)
        except OSError:
            raise WorkerLost(self._epitaph()) from None
        if not in_time:
            self.end()  # else it would run on in the turns of others
            raise WorkerLost("no answer to a turn")
        samples: list[int] = self._received()
        self.pause()
        return samples

    def cpu_s(self) -> float:
        """Processor time that it has used."""
        try:
            stat = _stat(self.process.pid)
        except OSError:
            return 0.0
        return (int(stat[_USER]) + int(stat[_SYSTEM])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Kill it, if it lives, and what it started: a converter of models, say."""
        # Once it was waited for, its number may be another's.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        self._said.close()


def start(
    tasks: Iterable[Task],
    at_once: int,
    timeout_s: float,
    lost: Callable[[Task, str], None],
    loader: str = "edgetvm.measure.peers",
) -> list[Worker]:
    """Workers that have loaded their models, asleep, in the order of the tasks.

    Args:
        at_once: how many load at a time.
        timeout_s: for each to load.
        lost: told of each that did not.
        loader: module with `load` of a task.
    """
    waiting = list(tasks)
    loading: dict[Worker, float] = {}
    ready: list[Worker] = []
    order = {id(task): index for index, task in enumerate(waiting)}
    try:
        while waiting or loading:
            while waiting and len(loading) < at_once:
                loading[Worker(waiting.pop(0), loader)] = time.monotonic() + timeout_s
            heard = wait([worker.connection for worker in loading], timeout=1.0)
            for worker in [one for one in loading if one.connection in heard]:
                del loading[worker]
                try:
                    worker.greet()
                    worker.pause()
                    ready.append(worker)
                except WorkerLost as error:
                    lost(worker.task, str(error))
                    worker.end()
            for worker in [one for one, until in loading.items() if time.monotonic() > until]:
                del loading[worker]
                lost(worker.task, f"not loaded in {timeout_s:g} s")
                worker.end()
    except BaseException:
        end([*loading, *ready])
        raise
    return sorted(ready, key=lambda worker: order[id(worker.task)])


def end(workers: Iterable[Worker]) -> None:
    """End all of them, whatever their state."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.end()
