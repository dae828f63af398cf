"""A function of a library behind TVM's stock RPC as a system under test.

TVM's `time_evaluator` answers with the mean of `number` runs. With `number` = 1 and one repetition
for each run, what comes back are the runs themselves, timed by the board.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edgetvm.base.errors import UsageError
from edgetvm.farm.board_service import decode, encode
from edgetvm.measure.conditions import Conditions, conditions_of
from edgetvm.measure.system_under_test import Answered, Nanoseconds, Opening, Queries


class RpcModule:
    """See `SystemUnderTest`. It keeps to no arrivals, and its loading is not timed."""

    def __init__(
        self, remote: Any, library: bytes, function: str, arguments: Callable[[Any], Any]
    ) -> None:
        """Name what is measured; nothing is sent yet.

        Args:
            remote: a session of TVM's RPC client with one of edgetvm's board services.
            library: the shared object.
            function: of it.
            arguments: makes them, given the remote's device 0.
        """
        self._remote = remote
        self._library = library
        self._function = function
        self._make_arguments = arguments
        self._arguments: list[Any] = []
        self._module: Any = None
        self._opened = 0

    @property
    def name(self) -> str:
        """The function's."""
        return self._function

    def open(self) -> Opening:
        """Send and load the library, and run the function once."""
        # A file of its own each time: what is loaded must not change under its process.
        self._opened += 1
        file = f"{self._function}-{self._opened}.so"
        self._remote.upload(bytearray(self._library), file)
        self._module = self._remote.load_module(file)
        self._arguments = list(self._make_arguments(self._remote.cpu(0)))
        (first_ns,) = self._times_ns(1)
        return Opening(None, int(first_ns))

    def time_queries(self, queries: Queries) -> Answered:
        """See `SystemUnderTest`. Stamps are put together from durations: no time lies between.

        Raises:
            UsageError: it has arrivals, or several runs to a query.
        """
        if queries.arrivals_ns is not None or queries.runs_per_query != 1:
            raise UsageError(
                "a module behind TVM's RPC runs back to back, one run a query",
                mend="package the model, and measure the package",
            )
        asked_ns = time.perf_counter_ns()
        first_ns = self._times_ns(1)
        fits = int(queries.max_s * 1e9 / max(1, int(first_ns[0])))
        rest = self._times_ns(min(queries.count - 1, fits)) if queries.count > 1 else first_ns[:0]
        round_trip_ns = time.perf_counter_ns() - asked_ns
        ended_ns = np.cumsum(np.concatenate([first_ns, rest]))
        began_ns = np.concatenate([[0], ended_ns[:-1]])
        return Answered(began_ns, ended_ns, int(ended_ns[-1]), round_trip_ns)

    def conditions(self) -> Conditions:
        """See `SystemUnderTest`."""
        ask = self._remote.get_function("edgetvm.conditions")
        return conditions_of(decode(bytes(ask(encode({}, b""))))[0])

    def _times_ns(self, count: int) -> Nanoseconds:
        if count < 1:
            return np.empty(0, np.int64)
        evaluator = self._module.time_evaluator(
            self._function, self._remote.cpu(0), number=1, repeat=count, min_repeat_ms=0
        )
        seconds = np.asarray(evaluator(*self._arguments).results)
        return np.asarray(np.rint(seconds * 1e9), np.int64)
