"""Streams in real time: what became of every chunk, raw."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

# A word counts as found until so long after its end (MLPerf Tiny, streaming wake word).
_FOUND_WITHIN_MS = 1000.0


@dataclass(frozen=True)
class Word:
    """A labelled span of a signal, and when the board told of it. Times since the signal's start.

    Attributes:
        found_ms: the first result that says so, of a chunk between its start and a second after
            its end; None where there was none.
        over_ms: the first result after its end that says that it is over; None likewise.
    """

    start_ms: float
    end_ms: float
    found_ms: float | None
    over_ms: float | None


@dataclass(frozen=True)
class RealTime:
    """What became of every chunk of a run in real time, raw.

    Attributes:
        period_ms: from chunk to chunk of a stream.
        deadline_ms: within which a chunk's result must be there, from its arrival on.
        streams: at once, spread over the period.
        policy: `queue` answers every chunk; `skip` leaves out one that could not begin before the
            next of its stream arrived.
        began_ns, ended_ns: of each chunk, the first of every stream before the second of any,
            since the beginning, on the board's clock; -1 for one that did not run.
        words: of the first stream, where its labels say when something is spoken.
        carried: whether every stream gave what one run without a clock gives; None where that
            was not compared.
    """

    period_ms: float
    deadline_ms: float
    streams: int
    policy: Literal["queue", "skip"]
    began_ns: tuple[int, ...]
    ended_ns: tuple[int, ...]
    words: tuple[Word, ...] = ()
    carried: bool | None = None

    @property
    def service_ns(self) -> tuple[int, ...]:
        """From begin to result, of each chunk that ran."""
        pairs = zip(self.began_ns, self.ended_ns, strict=True)
        return tuple(ended - began for began, ended in pairs if began >= 0)


class Chunks:
    """A run's chunks as arrays `[count, streams]`, times in milliseconds since the beginning.

    Attributes:
        ran: whether each ran.
        arrival, began, ended: when it was complete, begun, and answered.
        latency: from arrival to answer; it means nothing for one that did not run.
        late: whether it was answered after the deadline, or not at all though it should be.
    """

    def __init__(self, run: RealTime) -> None:
        shape = (-1, run.streams)
        began, ended = (
            np.asarray(one, np.int64).reshape(shape) for one in (run.began_ns, run.ended_ns)
        )
        self.ran = began >= 0
        self.began, self.ended = began / 1e6, ended / 1e6
        chunk, stream = np.indices(began.shape)
        self.arrival = (chunk + 1 + stream / run.streams) * run.period_ms
        self.latency = self.ended - self.arrival
        self.late = np.where(self.ran, self.latency > run.deadline_ms, run.policy == "queue")

    @cached_property
    def wakes(self) -> NDArray[np.float64]:
        """How late the board began chunks that found it idle, in order."""
        ran = self.ran.ravel()
        began, ended, arrival = (one.ravel()[ran] for one in (self.began, self.ended, self.arrival))
        before = np.concatenate([[0.0], ended[:-1]])
        idle = before <= arrival
        found: NDArray[np.float64] = (began - arrival)[idle]
        return found


def words_heard(
    spans_s: Sequence[Sequence[float]],
    said: Sequence[bool],
    ended_ms: Sequence[float],
    period_ms: float,
) -> tuple[Word, ...]:
    """When a board told of each labelled span.

    Args:
        spans_s: start and end of each in the signal, in order.
        said: of each chunk, whether its result says that something is spoken.
        ended_ms: when each chunk's result was there, since the signal's start.
        period_ms: signal in a chunk.
    """
    starts_ms = [1000 * start for start, _ in spans_s]
    found = []
    for index, (start, end) in enumerate(spans_s):
        start_ms, end_ms = 1000 * start, 1000 * end
        next_ms = [*starts_ms, float("inf")][index + 1]
        until_ms = min(end_ms + _FOUND_WITHIN_MS, next_ms)
        found_ms = over_ms = None
        for at, (one, ready_ms) in enumerate(zip(said, ended_ms, strict=True)):
            begins_ms, ends_ms = at * period_ms, (at + 1) * period_ms
            if one and found_ms is None and ends_ms > start_ms and begins_ms < until_ms:
                found_ms = ready_ms
            if not one and over_ms is None and ends_ms >= end_ms and begins_ms < next_ms:
                over_ms = ready_ms
        found.append(Word(start_ms, end_ms, found_ms, over_ms))
    return tuple(found)
