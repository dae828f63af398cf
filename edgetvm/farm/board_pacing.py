"""Streams on a board at the pace of their signals, by an absolute clock, each with its state."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetvm.base.errors import BoardError
from edgetvm.models.model import Arrays
from edgetvm.package.running import RunningModel

# prctl(2): the kernel may wake this thread so many nanoseconds late to save power; 50 us without.
_PR_SET_TIMERSLACK = 29
_MOST_S = 1e9
_NEVER = -1


@dataclass(frozen=True)
class _Schedule:
    """When chunks arrive; turns are the chunks of all streams in that order."""

    period_ns: int
    streams: int
    count: int
    skip: bool

    @property
    def turns(self) -> int:
        return self.streams * self.count

    def arrival_ns(self, turn: int) -> int:
        chunk, stream = divmod(turn, self.streams)
        return (chunk + 1) * self.period_ns + stream * self.period_ns // self.streams

    def is_stale(self, turn: int, elapsed_ns: int) -> bool:
        """Whether the next chunk of the same stream has arrived, and this one is left out."""
        after = turn + self.streams
        return self.skip and after < self.turns and self.arrival_ns(after) <= elapsed_ns


class _Streams:
    """The streams' states, and what is kept of their outputs."""

    def __init__(self, executor: RunningModel, chunks: Arrays, streams: int, keep: int) -> None:
        signature = executor.signature
        self._executor, self._chunks, self._streams, self._keep = executor, chunks, streams, keep
        self._length = len(next(iter(chunks.values())))
        self._states = {state.input: state.output for state in signature.states}
        self._carried: list[Arrays] = [signature.initial_states() for _ in range(streams)]
        self.kept = {
            spec.name: np.zeros((streams * keep, *spec.shape), spec.dtype)
            for spec in signature.outputs
            if spec.name not in self._states.values()
        }

    def serve(self, turn: int) -> None:
        chunk, stream = divmod(turn, self._streams)
        inputs = {name: array[chunk % self._length] for name, array in self._chunks.items()}
        outputs = self._executor.run({**inputs, **self._carried[stream]})
        self._carried[stream] = {source: outputs[result] for source, result in self._states.items()}
        if chunk < self._keep:
            for name, rows in self.kept.items():
                rows[stream * self._keep + chunk] = outputs[name]


def paced(executor: RunningModel, request: Mapping[str, Any], chunks: Arrays) -> Arrays:
    """Run the chunks of several streams as they arrive, one after the other.

    Chunk i of stream s of n is complete `(i + 1) * period_ns + s * period_ns / n` nanoseconds after
    the beginning: streams are spread over the period. It begins when it has arrived and the one
    before it is done. All streams are fed the same chunks, from the first again after the last.

    Args:
        executor: of the model, on the threads that it was opened with.
        request: `period_ns`; `streams`; `count`, chunks of each; `keep`, from how many of them
            outputs are answered; `skip`, whether a chunk is left out where the next one of its
            stream arrived before it could begin; `max_s`, after which none begins any more.
        chunks: `[chunks, *shape]` for each input that is not a state.

    Returns:
        `[streams * keep, *shape]` for each output that is not a state, zeros for chunks that did
        not run; and `began_ns` and `ended_ns`, `[count * streams]`, the first chunk of each stream
        before the second of any, since the beginning; -1 for those that did not run. Between the
        two lie setting the inputs, the run, and reading the outputs.

    Raises:
        BoardError: no streams can be paced so.
        InputError: the chunks do not fit the model.
    """
    schedule = _Schedule(
        request["period_ns"], request["streams"], request["count"], request["skip"]
    )
    keep, most_s = request["keep"], request["max_s"]
    _check(schedule, keep, most_s)
    began_ns, ended_ns = (np.full(schedule.turns, _NEVER, np.int64) for _ in range(2))
    streams = _Streams(executor, chunks, schedule.streams, keep)
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    zero_ns = time.monotonic_ns()
    for turn in range(schedule.turns):
        elapsed_ns = time.monotonic_ns() - zero_ns
        if elapsed_ns > most_s * 1e9:
            break
        if schedule.is_stale(turn, elapsed_ns):
            continue
        _sleep_until_ns(zero_ns + schedule.arrival_ns(turn))
        began_ns[turn] = time.monotonic_ns() - zero_ns
        streams.serve(turn)
        ended_ns[turn] = time.monotonic_ns() - zero_ns
    return {**streams.kept, "began_ns": began_ns, "ended_ns": ended_ns}


def _check(schedule: _Schedule, keep: int, most_s: float) -> None:
    possible = 0 <= most_s < _MOST_S and schedule.count > 0 and 0 <= keep <= schedule.count
    if not possible or schedule.period_ns < 1 or schedule.streams < 1:
        raise BoardError("no streams can be paced so", mend="ask for other numbers")


def _sleep_until_ns(at_ns: int) -> None:
    # Python sleeps to an absolute time, too: what it computes from this is the same moment.
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)
