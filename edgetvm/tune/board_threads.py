"""The boards of a search: a thread for each, all fed from one queue."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from edgetvm.base.errors import BoardGoneError
from edgetvm.tune.building import Builder
from edgetvm.tune.candidates import Candidate, Event
from edgetvm.tune.jobs import How, Ran, RunJob
from edgetvm.tune.progress import BoardState
from edgetvm.tune.ready import Ready
from edgetvm.tune.running import Runner

# How long a board waits for a candidate before it looks whether the search is over.
_PATIENCE_S = 0.25
# A board that was lost is asked again after so long, twice as long each time, up to the limit.
_RETRY_S = 2.0
_RETRY_LIMIT_S = 60.0
# What the last candidates of a search may take.
_LAST_S = 1.0


@dataclass
class BoardThreads:
    """A thread for each board, all fed from one queue."""

    runners: Sequence[Runner]
    how: How
    builder: Builder
    # Held by whoever computes while a board that shares this machine's cores must not be disturbed.
    quiet: AbstractContextManager[object]
    events: queue.SimpleQueue[Event]
    ready: Ready[Candidate] = field(default_factory=lambda: Ready(_task_of))
    states: dict[str, BoardState] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    lost_since_s: float | None = None

    def start(self) -> None:
        """Begin to take candidates."""
        self._threads = [
            threading.Thread(target=self._serve, args=(one, _name(one, at)), daemon=True)
            for at, one in enumerate(self.runners)
        ]
        for thread in self._threads:
            thread.start()

    def _serve(self, runner: Runner, name: str) -> None:
        pause_s = _RETRY_S
        self.states[name] = "idle"
        while not self.over.is_set():
            candidate = self.ready.take(name, _PATIENCE_S)
            if candidate is None:
                continue
            if self.states[name] != "lost":
                self.states[name] = "busy"
            ran = self._run(runner, candidate)
            if ran.outcome == "board lost":
                self.states[name] = "lost"
                self.events.put(Event(candidate, ran=ran, board=name))
                self.over.wait(pause_s)
                pause_s = min(2 * pause_s, _RETRY_LIMIT_S)
                continue
            pause_s = _RETRY_S
            self.states[name] = "idle"
            self.events.put(Event(candidate, ran=ran, board=name))

    def _run(self, runner: Runner, candidate: Candidate) -> Ran:
        job = _job(candidate, self.how)
        if not runner.board.shares_cores:
            return runner.run(job)
        with self.quiet:
            return undisturbed(runner, job, self.builder)

    @property
    def standing(self) -> list[Runner]:
        """Of the boards that are not lost."""
        named = {_name(one, at): one for at, one in enumerate(self.runners)}
        return [one for name, one in named.items() if self.states.get(name) != "lost"]

    @property
    def all_lost(self) -> bool:
        """Whether none is left."""
        return bool(self.states) and set(self.states.values()) == {"lost"}

    def stop(self) -> None:
        """End all of it; what still runs a candidate then gives its board back."""
        self.over.set()
        until_s = time.monotonic() + _LAST_S
        for runner, thread in zip(self.runners, self._threads, strict=True):
            thread.join(max(0.0, until_s - time.monotonic()))
            if thread.is_alive():
                runner.close()
        for thread in self._threads:
            thread.join(timeout=5)


def _name(runner: Runner, at: int) -> str:
    return f"{runner.board.name}#{at}"


def _task_of(candidate: Candidate) -> str:
    return candidate.state.task.key


def undisturbed(runner: Runner, job: RunJob, builder: Builder) -> Ran:
    """A run while nothing is built on the board's own cores."""
    with builder.paused() if runner.board.shares_cores else nullcontext():
        return runner.run(job)


def _job(candidate: Candidate, how: How) -> RunJob:
    mine = candidate.loadable
    state = candidate.state
    return RunJob(
        state.default or mine, mine, how, default_ms=state.default_ms, to_beat=state.to_beat
    )


def all_gone(names: str) -> BoardGoneError:
    """What to raise where no board is left."""
    return BoardGoneError(
        "all boards of this search are gone",
        where=names,
        mend="run the same command again: what was measured is kept",
    )
