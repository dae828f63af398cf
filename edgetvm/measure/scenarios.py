"""MLPerf's scenarios, played to whatever is measured, in windows, until enough are valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgetvm.base.errors import UsageError
from edgetvm.base.steps import Step, step
from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.measure.rules import Rule, Scenario
from edgetvm.measure.samples import Chunk, Samples, Spool, middle
from edgetvm.measure.system_under_test import Answered, Conditioned, Queries, SystemUnderTest
from edgetvm.measure.windows import Window, reasons, valid_samples

# Windows are short, so that progress is seen, a dead board is noticed, and little is lost where one
# does not count.
_WINDOW_S = 1.0
# Stamps of more queries would fill a small board's memory.
_MOST_IN_WINDOW = 1 << 18
# A board that is always disturbed is given up: so many windows, and so many for each valid one, but
# not before so long: a few windows of few short runs are over in milliseconds.
_INVALID, _INVALID_FOR_VALID, _INVALID_S = 4, 2, 2.0
_SEED = 20260301
RATE_MEND = "say how many queries a second: --qps, or --qps most for as many as it holds"
# Before the first arrival: the host's request must have been read.
_FIRST_ARRIVAL_NS = 5_000_000
# A query is late where it began so much after its arrival, and nothing ran: a share of a query, but
# no less than a clock and a scheduler need.
_LATE_SHARE, _LATE_NS = 0.05, 20_000


@dataclass(frozen=True)
class Played:
    """What a scenario gave.

    Attributes:
        samples_ns: latency of each query in nanoseconds, in the order taken. Of a server, from its
            arrival; of cold starts, open and first run together.
        windows: what they were taken in.
    """

    samples_ns: Samples
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Load:
    """How queries come.

    Attributes:
        runs_per_query: of the model; more than one for `multi-stream`.
        target_qps: queries a second that a server gets.
    """

    runs_per_query: int = 1
    target_qps: float | None = None


def play(
    system: SystemUnderTest,
    scenario: Scenario,
    rule: Rule,
    load: Load,
    *,
    judged: bool = True,
) -> Played:
    """Play a scenario.

    Args:
        system: open, its inputs set and warm; for `cold-start` it need not be open.
        scenario: none of `stream`.
        rule: when there is enough.
        load: how queries come.
        judged: whether windows may be invalid; not on an emulated board.

    Raises:
        UsageError: a server without queries a second.
        BoardError: the board failed.
    """
    with step(f"time {system.name}, {scenario}") as this:
        return _PLAYERS.get(scenario, _back_to_back)(
            system, _Stage(system, rule, judged, this), load
        )


def play_stream(
    system: Conditioned, run: Callable[[], Chunk], rule: Rule, *, judged: bool = True
) -> Played:
    """Run a signal's chunks back to back, again and again, the state carried in each.

    Args:
        system: that they run on.
        run: all chunks once; gives the service time of each in nanoseconds.
        rule: when there are enough chunks.
        judged: whether windows may be invalid; not on an emulated board.

    Raises:
        BoardError: the board failed.
    """
    with step(f"time {system.name}, stream") as this:
        stage = _Stage(system, rule, judged, this)
        while not stage.enough:
            service_ns = run()
            ended_ns = np.cumsum(service_ns)
            # What the call took beside its chunks is neither the board's nor the wire's alone.
            stage.take(Answered(ended_ns - service_ns, ended_ns, 0, 0), service_ns)
        return stage.played()


class _Stage:
    """Windows as they come, and whether there are enough."""

    def __init__(self, system: Conditioned, rule: Rule, judged: bool, this: Step) -> None:
        self.rule = rule
        self._system, self._judged, self._step = system, judged, this
        self._spool = Spool()
        self._windows: list[Window] = []
        self._before = system.conditions()
        self._invalid = 0
        self._spent_ns = 0
        self.count = 0
        self._valid_ns = 0

    @property
    def enough(self) -> bool:
        """Whether nothing more is to be asked for."""
        done = self.count >= self.rule.least_count and self._valid_ns >= self.rule.least_s * 1e9
        too_many = _INVALID + _INVALID_FOR_VALID * (len(self._windows) - self._invalid)
        given_up = self._invalid > too_many and self._spent_ns >= _INVALID_S * 1e9
        return done or given_up or self._spent_ns >= self.rule.most_s * 1e9

    @property
    def left(self) -> int:
        """Queries for the next window at most."""
        if self.rule.least_s > 0:
            return _MOST_IN_WINDOW
        return min(_MOST_IN_WINDOW, self.rule.least_count - self.count)

    @property
    def window_s(self) -> float:
        """How long the next window may take."""
        return max(0.0, min(_WINDOW_S, self.rule.most_s - self._spent_ns / 1e9))

    def take(
        self, answered: Answered, samples_ns: Chunk, late: int = 0, idles: bool = False
    ) -> None:
        """Keep a window."""
        after = self._system.conditions()
        span_ns = int(answered.ended_ns[-1] - answered.began_ns[0])
        window = Window(
            count=len(samples_ns),
            span_ns=span_ns,
            on_board_ns=answered.on_board_ns,
            round_trip_ns=answered.round_trip_ns,
            before=self._before,
            after=after,
            late=late,
            idles=idles,
        )
        self._spool.add(samples_ns)
        self._windows.append(window)
        self._before = after
        self._spent_ns += window.wall_ns
        if self._judged and reasons(window):
            self._invalid += 1
        else:
            self.count += window.count
            self._valid_ns += span_ns
        p50_ms = float(np.median(samples_ns)) / 1e6
        self._step.advance(self.count, self.rule.least_count, f"p50 {format_ms(p50_ms)} now")

    def played(self) -> Played:
        """All that was kept; the step tells the p50 that reports will tell."""
        samples, windows = self._spool.samples(), tuple(self._windows)
        counted = valid_samples(samples, windows if self._judged else ()) or samples
        p50_ms = middle(counted) / 1e6
        self._step.detail = f"p50 {format_ms(p50_ms)} of {plural(len(counted), 'sample')}"
        return Played(samples, windows)


def _back_to_back(system: SystemUnderTest, stage: _Stage, load: Load) -> Played:
    """Each query arrives when the one before is done."""
    while not stage.enough:
        answered = system.time_queries(Queries(stage.left, stage.window_s, load.runs_per_query))
        stage.take(answered, answered.service_ns)
    return stage.played()


def _server(system: SystemUnderTest, stage: _Stage, load: Load) -> Played:
    """Queries of a Poisson process, all in one window: a queue must not end with it."""
    if load.target_qps is None:
        raise UsageError("a server needs a rate", mend=RATE_MEND)
    rule = stage.rule
    count = max(rule.least_count, int(rule.least_s * load.target_qps))
    arrivals_ns = poisson_ns(count, load.target_qps)
    answered = system.time_queries(Queries(count, rule.most_s, 1, arrivals_ns))
    arrivals_ns = arrivals_ns[: len(answered.began_ns)]
    latencies_ns = answered.ended_ns - arrivals_ns
    stage.take(answered, latencies_ns, _late(answered, arrivals_ns), idles=True)
    return stage.played()


def poisson_ns(count: int, rate: float, seed: int = _SEED) -> Chunk:
    """When queries of a Poisson process arrive, `[count]`, ascending, in nanoseconds.

    Args:
        rate: queries a second on average.
    """
    gaps_s = np.random.default_rng(seed).exponential(1 / rate, count)
    return np.asarray(np.cumsum(gaps_s) * 1e9, np.int64) + _FIRST_ARRIVAL_NS


def _late(answered: Answered, arrivals_ns: Chunk) -> int:
    """Queries that began late although the one before them was done."""
    free_ns = np.concatenate([[0], answered.ended_ns[:-1]])
    late_ns = answered.began_ns - np.maximum(arrivals_ns, free_ns)
    allowed_ns = max(_LATE_NS, _LATE_SHARE * float(np.median(answered.service_ns)))
    return int((late_ns > allowed_ns).sum())


def _cold_starts(system: SystemUnderTest, stage: _Stage, _load: Load) -> Played:
    """The model is loaded anew each time; files are in the system's cache from the second on."""
    while not stage.enough:
        opening = system.open()
        if opening.open_ns is None:
            raise UsageError(
                f"{system.name} does not tell how long it takes to load",
                mend="measure a package",
            )
        took_ns = opening.open_ns + opening.first_run_ns
        one = np.asarray([took_ns], np.int64)
        stage.take(Answered(one * 0, one, took_ns, took_ns), one)
    return stage.played()


_PLAYERS: Mapping[Scenario, Callable[[SystemUnderTest, _Stage, Load], Played]] = {
    "server": _server,
    "cold-start": _cold_starts,
}
