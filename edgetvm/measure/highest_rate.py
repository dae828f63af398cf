"""The highest rate of queries at which a server keeps its bound, found on the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace

import numpy as np
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import Step, step
from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.measure.early_stopping import least_queries, most_over
from edgetvm.measure.rules import TOLD_PERCENTILES, Rule
from edgetvm.measure.samples import Chunk, Samples
from edgetvm.measure.scenarios import Load, Played, play, poisson_ns
from edgetvm.measure.system_under_test import SystemUnderTest
from edgetvm.measure.windows import reasons, valid_samples

_PERCENTILE = TOLD_PERCENTILES["server"]
# A trial lasts so long, or has so many queries; of a slow model fewer, for they take minutes.
_TRIAL_S, _ENOUGH_QUERIES = 2.0, 500
_LONG_TRIAL_S, _LEAST_QUERIES = 20.0, 100
# The long run may have so many: with less only a board far below its bound can be told to keep it.
_OVER_IN_LONG_RUN = 5
# Queries back to back, which tell what one takes.
_ALONE = Rule(64, 1.0, 60.0)
_SIMULATED = 20_000
# Rates nearer to each other than this are one; the first steps from what was computed are larger.
_APART, _STEP = 1.02, 1.1
_MOST_TRIALS = 24
# A trial that other work disturbed is made again.
_ATTEMPTS = 3
# The long run asks for more than trials do.
_LONG_RUNS, _BACK = 5, 0.95


@dataclass(frozen=True)
class RateTrial:
    """A rate that a board was tried with.

    Attributes:
        qps: queries a second on average.
        queries: that arrived.
        over: of them that were not answered within the bound.
    """

    qps: float
    queries: int
    over: int

    @property
    def holds(self) -> bool:
        """Whether 99% were in time."""
        return self.over <= (1 - _PERCENTILE) * self.queries


@dataclass(frozen=True)
class RateSearch:
    """How the highest rate was found.

    Attributes:
        bound_ms: that 99% of the queries keep.
        trials: in the order made.
    """

    bound_ms: float
    trials: tuple[RateTrial, ...] = field(default_factory=tuple)


def play_highest_rate(
    system: SystemUnderTest, rule: Rule, bound_ms: float, *, judged: bool = True
) -> tuple[Played, float, RateSearch]:
    """Find the highest rate that keeps a bound, and play the server scenario at it.

    A first rate is computed from service times back to back; trials of two seconds, or 500
    queries (fewer where they would take over 20 seconds), close in from there, to 2%. The long run
    must keep the bound by early stopping's rule, which is more than trials must; where it does
    not, it is made again at a rate 5% lower.

    Args:
        system: open, its inputs set and warm.
        rule: of the long run, which has 1307 queries at least.
        bound_ms: that 99% of the queries keep.
        judged: whether windows may be invalid.

    Returns:
        the long run, its queries a second, and the trials.

    Raises:
        BoardError: the board failed, or does not keep the bound at any rate.
    """
    with step(f"the highest rate that keeps {format_ms(bound_ms)}") as this:
        trials = _search(system, bound_ms, judged, this)
        qps = max(one.qps for one in trials if one.holds)
        this.detail = f"{qps:.4g} queries a second, of {plural(len(trials), 'trial')}"
    at_least = max(rule.least_count, least_queries(_PERCENTILE, _OVER_IN_LONG_RUN))
    long_rule = replace(rule, least_count=at_least)
    left = _LONG_RUNS
    while True:
        played = play(system, "server", long_rule, Load(target_qps=qps), judged=judged)
        left -= 1
        if not left or not _is_lost(_trial(qps, played.samples_ns, bound_ms), at_least):
            return played, qps, RateSearch(bound_ms, trials)
        qps *= _BACK


def _is_lost(run: RateTrial, wanted: int) -> bool:
    """Whether its rate is too high: it is not with 99% confidence that 99% are in time, and that is
    not only because time was over before all queries ran."""
    sure = run.over <= most_over(run.queries, _PERCENTILE)
    return not sure and (run.queries >= wanted or not run.holds)


def _search(
    system: SystemUnderTest, bound_ms: float, judged: bool, this: Step
) -> tuple[RateTrial, ...]:
    """Trials of which the highest that holds and the lowest that does not lie close together."""
    alone = play(system, "single-stream", _ALONE, Load(), judged=judged)
    disturbed = judged and all(reasons(window) for window in alone.windows)
    valid = valid_samples(alone.samples_ns, alone.windows if judged else ())
    service_ns = np.concatenate(list((valid if len(valid) else alone.samples_ns).chunks()))
    if float(np.quantile(service_ns, _PERCENTILE)) > bound_ms * 1e6:
        raise _too_slow(system, bound_ms, disturbed)
    trials: list[RateTrial] = []
    held, over = 0.0, np.inf
    qps, factor = simulated_rate(service_ns, bound_ms), _STEP
    while over > held * _APART:
        if len(trials) == _MOST_TRIALS:
            break
        trials.append(_tried(system, qps, bound_ms))
        if trials[-1].holds:
            held = qps
        else:
            over = qps
        this.detail = f"{held:.4g} queries a second are held"
        this.advance(len(trials))
        qps = _next(held, over, factor)
        factor *= factor
    if not held:
        raise _too_slow(system, bound_ms, disturbed)
    return tuple(trials)


def _next(held: float, over: float, factor: float) -> float:
    if not held:
        return over / factor
    return held * factor if over == np.inf else float(np.sqrt(held * over))


def _too_slow(system: SystemUnderTest, bound_ms: float, disturbed: bool) -> BoardError:
    why = "other work disturbed the board all the time: wait until it is idle"
    otherwise = "allow more (--bound), or see what one query takes: --scenario single-stream"
    return BoardError(
        f"{system.name} keeps {format_ms(bound_ms)} for 99% of its queries at no rate",
        mend=why if disturbed else otherwise,
    )


def _tried(system: SystemUnderTest, qps: float, bound_ms: float) -> RateTrial:
    """One trial; where it is not held and was disturbed, it is made again."""
    fit = min(_ENOUGH_QUERIES, int(qps * _LONG_TRIAL_S))
    count = max(_LEAST_QUERIES, fit, int(qps * _TRIAL_S))
    rule = Rule(count, 0.0, 2 * count / qps + bound_ms / 1e3)
    for _ in range(_ATTEMPTS):
        played = play(system, "server", rule, Load(target_qps=qps))
        trial = _trial(qps, played.samples_ns, bound_ms, count)
        if trial.holds or not any(reasons(window) for window in played.windows):
            break
    return trial


def _trial(qps: float, samples_ns: Samples, bound_ms: float, count: int = 0) -> RateTrial:
    """What samples say of a rate; queries that were not even begun are over the bound."""
    late = sum(int((chunk > bound_ms * 1e6).sum()) for chunk in samples_ns.chunks())
    unanswered = max(0, count - len(samples_ns))
    return RateTrial(qps, len(samples_ns) + unanswered, late + unanswered)


def simulated_rate(service_ns: Chunk, bound_ms: float) -> float:
    """The highest rate, in queries a second, that one server of such service times would hold.

    Service times are drawn anew from those given; what each query waits is Lindley's recursion.

    Args:
        service_ns: of queries back to back, `[queries]`.
        bound_ms: that 99% keep.

    Source: Lindley, The Theory of Queues with a Single Server, 1952.
    """
    drawn = np.random.default_rng(0).choice(np.asarray(service_ns, np.float64), _SIMULATED)
    most = 1e9 / float(drawn.mean())
    return _bisected(lambda share: _latency_ns(drawn, most * share) <= bound_ms * 1e6) * most


def _latency_ns(service_ns: np.ndarray, qps: float) -> float:
    """The percentile of waiting and service that a bound is for."""
    gaps_ns = np.diff(poisson_ns(len(service_ns), qps), prepend=0)
    # Waiting is how far the sum of what came in less what went by stands above its lowest so far.
    steps = np.concatenate([[0.0], service_ns[:-1] - gaps_ns[1:]])
    level = np.cumsum(steps)
    waited_ns = level - np.minimum.accumulate(level)
    return float(np.quantile(waited_ns + service_ns, _PERCENTILE))


def _bisected(holds: Callable[[float], bool]) -> float:
    """The largest share of 1 that holds, to a thousandth."""
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return max(low, 1e-3)
