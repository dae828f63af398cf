"""What can be measured: one interface for a package on a board, a module behind RPC, and a peer.

Three methods, and what each of them times is written here. Times are taken where the model runs, on
that machine's monotonic clock, and come back raw, one pair of stamps a query; nothing is timed over
the wire. What the wire took is told beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgetvm.measure.conditions import Conditions

Nanoseconds = NDArray[np.int64]


@dataclass(frozen=True)
class Opening:
    """A cold start.

    Attributes:
        open_ns: from the model's bytes on the board to ready to run; None where the board cannot
            tell.
        first_run_ns: the first run after that.
    """

    open_ns: int | None
    first_run_ns: int


@dataclass(frozen=True)
class Queries:
    """What to run, all on the inputs that were last set.

    Attributes:
        count: queries at most.
        max_s: begin no query after so long. With `arrivals_ns` it counts from the first arrival.
        runs_per_query: runs of the model in each query, back to back.
        arrivals_ns: when each query arrives, in nanoseconds from the beginning of the call, in
            ascending order, one for each of `count`. A query that arrives while another runs
            waits. Without it, each arrives when the one before it is done.
    """

    count: int
    max_s: float
    runs_per_query: int = 1
    arrivals_ns: Sequence[int] | Nanoseconds | None = None


@dataclass(frozen=True)
class Answered:
    """The queries that ran, in order.

    Attributes:
        began_ns, ended_ns: stamps round each query, int64 `[queries]`, in nanoseconds from the
            beginning of the call on the board. Between them lie `runs_per_query` runs and nothing
            else: no setting of inputs, no reading of outputs.
        on_board_ns: the whole call where the model runs.
        round_trip_ns: the whole call as the host saw it. The difference is RPC and network.
    """

    began_ns: Nanoseconds
    ended_ns: Nanoseconds
    on_board_ns: int
    round_trip_ns: int

    @property
    def service_ns(self) -> Nanoseconds:
        """How long each query ran, `[queries]`."""
        return self.ended_ns - self.began_ns


class Conditioned(Protocol):
    """What runs on a machine that can be looked at.

    Every method raises BoardError where the board, or the process that runs the model, fails.
    """

    @property
    def name(self) -> str:
        """What a report calls it."""

    def conditions(self) -> Conditions:
        """How the machine and the process that runs the model stand now."""


class SystemUnderTest(Conditioned, Protocol):
    """Whatever is measured. It is opened by the first call of `open`, and can be opened anew."""

    def open(self) -> Opening:
        """Load the model anew, set its inputs, and run it once."""

    def time_queries(self, queries: Queries) -> Answered:
        """Run queries, with a stamp before and after each.

        Raises:
            UsageError: it cannot keep to arrivals.
        """
