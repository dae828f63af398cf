"""Streams on a board at the pace of their signals, by an absolute clock, each with its state."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgetvm.base.errors import BoardError
from edgetvm.models.model import Arrays
from edgetvm.package.deployed import DeployedModel
from edgetvm.package.executor import Executor

# prctl(2): the kernel may wake this thread so many nanoseconds late to save power; 50 us without.
_PR_SET_TIMERSLACK = 29
_MOST_S = 1e9
_NEVER = -1


def paced(executor: Executor | DeployedModel, request: Mapping[str, Any], chunks: Arrays) -> Arrays:
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
    streams, count, keep = request["streams"], request["count"], request["keep"]
    period_ns, most_s = request["period_ns"], request["max_s"]
    possible = 0 <= most_s < _MOST_S and count > 0 and 0 <= keep <= count
    if not possible or period_ns < 1 or streams < 1:
        raise BoardError("no streams can be paced so", mend="ask for other numbers")
    turns = streams * count
    began_ns, ended_ns = (np.full(turns, _NEVER, np.int64) for _ in range(2))
    signature = executor.signature
    states = {state.input: state.output for state in signature.states}
    carried: list[Arrays] = [signature.initial_states() for _ in range(streams)]
    kept = {
        spec.name: np.zeros((streams * keep, *spec.shape), spec.dtype)
        for spec in signature.outputs
        if spec.name not in states.values()
    }
    length = len(next(iter(chunks.values())))

    def arrival_ns(turn: int) -> int:
        chunk, stream = divmod(turn, streams)
        return int((chunk + 1) * period_ns + stream * period_ns // streams)

    def serve(turn: int) -> None:
        chunk, stream = divmod(turn, streams)
        inputs = {name: array[chunk % length] for name, array in chunks.items()}
        outputs = executor.run({**inputs, **carried[stream]})
        carried[stream] = {source: outputs[result] for source, result in states.items()}
        if chunk < keep:
            for name, rows in kept.items():
                rows[stream * keep + chunk] = outputs[name]

    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    zero_ns = time.monotonic_ns()
    for turn in range(turns):
        elapsed_ns = time.monotonic_ns() - zero_ns
        if elapsed_ns > most_s * 1e9:
            break
        after = turn + streams
        if request["skip"] and after < turns and arrival_ns(after) <= elapsed_ns:
            continue
        _sleep_until_ns(zero_ns + arrival_ns(turn))
        began_ns[turn] = time.monotonic_ns() - zero_ns
        serve(turn)
        ended_ns[turn] = time.monotonic_ns() - zero_ns
    return {**kept, "began_ns": began_ns, "ended_ns": ended_ns}


def _sleep_until_ns(at_ns: int) -> None:
    # Python sleeps to an absolute time, too: what it computes from this is the same moment.
    while (left_ns := at_ns - time.monotonic_ns()) > 0:
        time.sleep(left_ns / 1e9)
