"""The highest rate that keeps a bound, beside queues whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS
from scripted_system import Scripted

from edgetvm.base.errors import BoardError, UsageError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.measure import Plan
from edgetvm.measure.highest_rate import RateTrial, _trial, play_highest_rate, simulated_rate
from edgetvm.measure.rules import Rule
from edgetvm.measure.scenarios import Load, play

RULE = Rule(3000, 0.0, 60.0)


def over(qps: float, bound_ms: float, run_ns: tuple[int, ...] = (MS,)) -> float:
    """The share of many queries that are over the bound."""
    played = play(Scripted(run_ns=run_ns), "server", Rule(20_000, 0.0, 1e6), Load(target_qps=qps))
    return sum(one > bound_ms * 1e6 for one in played.samples_ns) / 20_000


def test_a_simulated_queue_is_that_of_the_books() -> None:
    """M/M/1: a query is there for longer than t with probability exp(-(1/s - rate) t)."""
    service_ns = np.random.default_rng(1).exponential(MS, 50_000).astype(np.int64)
    assert simulated_rate(service_ns, 10.0) == pytest.approx(1000 - np.log(100) / 0.010, rel=0.05)


@pytest.mark.parametrize("run_ns", [(MS,), (MS, MS, MS, 4 * MS)])
def test_a_little_more_than_the_highest_rate_is_too_much(run_ns: tuple[int, ...]) -> None:
    played, qps, search = play_highest_rate(Scripted(run_ns=run_ns), RULE, 8.0)
    assert over(qps, 8.0, run_ns) < 0.01 < over(1.25 * qps, 8.0, run_ns)
    assert len(played.samples_ns) == 3000
    assert search.bound_ms == 8.0
    held = [one.qps for one in search.trials if one.holds]
    lost = [one.qps for one in search.trials if not one.holds]
    assert min(lost) <= 1.02 * max(held)
    assert 0.8 * max(held) < qps <= max(held)


def test_a_bound_below_one_query_is_kept_at_no_rate() -> None:
    with pytest.raises(BoardError, match=r"keeps 0\.900 ms for .* at no rate \(allow more"):
        play_highest_rate(Scripted(), RULE, 0.9)
    always_hot = Scripted(hot=frozenset(range(1000)))
    with pytest.raises(BoardError, match="other work disturbed the board all the time"):
        play_highest_rate(always_hot, RULE, 0.9)


def test_a_slow_model_is_tried_with_fewer_queries_and_not_lowered_for_lack_of_time() -> None:
    """A quarter of a second a query: the long run's time is over after some hundreds."""
    system = Scripted(run_ns=(250 * MS,))
    played, qps, search = play_highest_rate(system, Rule(64, 6.0, 60.0), 2000.0)
    assert max(one.queries for one in search.trials) < 120
    # Too few to be sure of 99%, and none of them late: a lower rate would tell no more.
    assert len(played.samples_ns) < 300
    assert qps > 0.9 * max(one.qps for one in search.trials if one.holds)


def test_trials_of_a_disturbed_board_are_made_again() -> None:
    # A second back to back, and a look before and after the first trial.
    system = Scripted(hot=frozenset({3}))
    _, qps, _ = play_highest_rate(system, RULE, 8.0)
    assert qps == play_highest_rate(Scripted(), RULE, 8.0)[1]


def test_what_was_not_answered_is_over_the_bound() -> None:
    assert RateTrial(100.0, 500, 5).holds
    assert not RateTrial(100.0, 500, 6).holds
    # The longest queue ends with the time for it.
    played = play(Scripted(), "server", Rule(500, 0.0, 0.1), Load(target_qps=1000.0))
    assert _trial(1000.0, played.samples_ns, 1e6, 500).over == 500 - len(played.samples_ns) > 300


def test_a_highest_rate_needs_a_bound() -> None:
    plan = Plan(scenario="server", target_qps="most")
    with pytest.raises(UsageError, match="--bound 20"):
        plan.check_bound(None, "m")
    Plan(scenario="server", target_qps="most", bound_ms=20.0).check_bound(None, "m")
    with pytest.raises(UsageError, match="--qps most"):
        Plan(scenario="server")


def test_the_step_tells_the_p50_of_the_report() -> None:
    told: list[StepEvent] = []
    with listening(told.append):
        # The first half of the windows is throttled, and slower.
        system = Scripted(run_ns=(9 * MS,) * 23 + (MS,) * 23, hot=frozenset({0}))
        play(system, "single-stream", Rule(23, 0.0, 30.0), Load())
    assert told[-1].detail == "p50 1.00 ms of 23 samples"
