"""A package as a system under test: on a board, through the board's own service."""

from __future__ import annotations

import time

import numpy as np

from edgetvm.farm.session import BoardSession
from edgetvm.measure.conditions import Conditions, conditions_of
from edgetvm.measure.system_under_test import Answered, Nanoseconds, Opening, Queries
from edgetvm.models.model import Arrays
from edgetvm.package.archive import Package


class PackageOnBoard:
    """See `SystemUnderTest`.

    Attributes:
        session: with the board.
        package: that is measured.
    """

    def __init__(
        self,
        session: BoardSession,
        package: Package,
        threads: int | None = None,
        inputs: Arrays | None = None,
    ) -> None:
        """Name what is measured; nothing is sent yet.

        Args:
            session: with the board.
            package: verified.
            threads: to run on; all cores of the board without it.
            inputs: to run on, or a stream's chunks; the package's sample without them.
        """
        self.session = session
        self.package = package
        self._threads = threads
        self._inputs = package.sample_inputs if inputs is None else inputs

    @property
    def name(self) -> str:
        """The model's."""
        return self.package.manifest.name

    def open(self) -> Opening:
        """Send the package, load it anew, run its sample once, and set the inputs."""
        opened = self.session.open(self.package.data, self._threads)
        self.set_inputs()
        return Opening(opened.open_ns, opened.first_run_ns)

    def set_inputs(self) -> None:
        """Have the next queries run on the inputs; the package is open."""
        self.session.time_runs(0, 0.0, self._inputs)

    def time_queries(self, queries: Queries) -> Answered:
        """See `SystemUnderTest`."""
        arrivals = queries.arrivals_ns
        asked_ns = time.perf_counter_ns()
        stamps = self.session.time_queries(
            queries.count,
            queries.max_s,
            queries.runs_per_query,
            None if arrivals is None else np.asarray(arrivals, np.int64),
        )
        round_trip_ns = time.perf_counter_ns() - asked_ns
        return Answered(stamps.began_ns, stamps.ended_ns, stamps.on_board_ns, round_trip_ns)

    def run_stream(self, count: int | None = None) -> Nanoseconds:
        """Run the stream's chunks, or the first of them, and give the service time of each."""
        chunks = {name: array[:count] for name, array in self._inputs.items()}
        return self.session.stream(chunks)[0]

    def conditions(self) -> Conditions:
        """See `SystemUnderTest`."""
        return conditions_of(self.session.conditions())
