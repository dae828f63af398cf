"""Work is told as timed, nested steps. Whoever wants to show or keep them listens.

The library never prints: a terminal, a log and a report are listeners.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["started", "advanced", "finished", "failed", "note", "warning"]


@dataclass(frozen=True)
class StepEvent:
    """Something that happened to a step.

    Attributes:
        title: what the step does, in the words that logs and reports use.
        state: what happened. `note` and `warning` carry a sentence in `detail`.
        depth: 0 for an outermost step.
        elapsed_s: seconds since the step began.
        done, total: progress of an `advanced` step; total is 0 where it is not known.
        detail: a few words beside the title.
    """

    title: str
    state: State
    depth: int
    elapsed_s: float = 0.0
    done: int = 0
    total: int = 0
    detail: str = ""


Listener = Callable[[StepEvent], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())
_depth: ContextVar[int] = ContextVar("depth", default=0)


def _tell(event: StepEvent) -> None:
    for listener in _listeners.get():
        listener(event)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` with every event that happens inside the block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


@contextmanager
def unheard() -> Iterator[None]:
    """Keep events inside the block from all listeners: for work that is repeated many times."""
    token = _listeners.set(())
    try:
        yield
    finally:
        _listeners.reset(token)


class Step:
    """A step under way: tells its progress and what came of it."""

    def __init__(self, title: str) -> None:
        self._began_s = time.monotonic()
        self._event = StepEvent(title, "started", _depth.get())
        self.detail = ""
        # Set where a part of the work failed and its caller goes on.
        self.has_failed = False

    def tell(self, state: State, *, done: int = 0, total: int = 0) -> None:
        """Tell the listeners."""
        _tell(
            replace(
                self._event,
                state=state,
                elapsed_s=time.monotonic() - self._began_s,
                done=done,
                total=total,
                detail=self.detail,
            )
        )

    def advance(self, done: int, total: int = 0, detail: str = "") -> None:
        """Say that `done` of `total` parts are finished."""
        self.detail = detail or self.detail
        self.tell("advanced", done=done, total=total)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """A timed step around the block. Set `.detail` on what it yields to say what came of it."""
    this = Step(title)
    this.tell("started")
    token = _depth.set(_depth.get() + 1)
    try:
        yield this
    except BaseException:
        this.tell("failed")
        raise
    finally:
        _depth.reset(token)
    this.tell("failed" if this.has_failed else "finished")


def note(sentence: str) -> None:
    """Tell the user something that needs no action."""
    _tell(StepEvent("", "note", _depth.get(), detail=sentence))


def warn(sentence: str) -> None:
    """Tell the user something that may need action."""
    _tell(StepEvent("", "warning", _depth.get(), detail=sentence))
