"""Scenarios played to a system whose every time is known: a clock that moves only when it runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make
from scripted_system import Scripted

from edgetvm.base.errors import UsageError
from edgetvm.measure import summarise
from edgetvm.measure.rules import PRESETS, Rule, Scenario, rule_of
from edgetvm.measure.scenarios import Load, Played, play, play_stream, poisson_ns
from edgetvm.measure.warm_up import warm_up
from edgetvm.measure.windows import reasons


def played(system: Scripted, scenario: Scenario, rule: Rule, load: Load | None = None) -> Played:
    """A scenario played to it."""
    return play(system, scenario, rule, load or Load())


def test_single_stream_meets_count_and_duration() -> None:
    system = Scripted(run_ns=(MS,))
    found = played(system, "single-stream", PRESETS["rapid"])
    # A window begins no run after a second: 1001 runs of a millisecond each.
    assert len(found.windows) == 6
    assert {window.count for window in found.windows} == {1001}
    assert set(found.samples_ns) == {MS}


def test_a_slow_model_runs_until_the_count_is_there() -> None:
    found = played(Scripted(run_ns=(700 * MS,)), "single-stream", PRESETS["rapid"])
    assert len(found.samples_ns) in (64, 65)
    summary = summarise(taken(found, "single-stream", PRESETS["rapid"]))
    assert summary.invalid == ()
    assert summary.early_stopping_ms == 700.0


def test_so_many_runs_are_so_many() -> None:
    found = played(Scripted(), "single-stream", Rule(23, 0.0, 30.0))
    assert len(found.samples_ns) == 23


def test_runs_in_hot_windows_are_made_again() -> None:
    # Looks 1 and 2 see the board throttled: windows 0, 1 and 2 touch them.
    system = Scripted(hot=frozenset({1, 2}))
    found = played(system, "single-stream", Rule(23, 0.0, 30.0))
    assert [bool(reasons(one)) for one in found.windows] == [True, True, True, False]
    assert len(found.samples_ns) == 4 * 23
    assert summarise(taken(found, "single-stream", Rule(23, 0.0, 30.0))).count == 23


def test_a_board_that_stays_hot_is_given_up() -> None:
    system = Scripted(hot=frozenset(range(1000)))
    found = played(system, "single-stream", Rule(23, 0.0, 30.0))
    assert sum(one.wall_ns for one in found.windows) >= 2000 * MS
    assert len(found.windows) < 100
    summary = summarise(taken(found, "single-stream", Rule(23, 0.0, 30.0)))
    assert "no window of the measurement is valid" in summary.invalid[0]


def test_a_moment_of_heat_gives_no_board_up() -> None:
    """Ten windows of 23 ms are bad, and then it is well."""
    system = Scripted(hot=frozenset(range(10)))
    found = played(system, "single-stream", Rule(23, 0.0, 30.0))
    assert [not reasons(one) for one in found.windows[-2:]] == [False, True]


def test_an_emulated_board_is_not_judged() -> None:
    system = Scripted(hot=frozenset(range(1000)))
    found = play(system, "single-stream", Rule(23, 0.0, 30.0), Load(), judged=False)
    assert len(found.windows) == 1


def test_a_measurement_ends_at_its_limit() -> None:
    found = played(Scripted(run_ns=(400 * MS,)), "single-stream", Rule(10**6, 0.0, 5.0))
    assert 12 <= len(found.samples_ns) <= 15


def test_a_multi_stream_query_is_eight_runs() -> None:
    system = Scripted(run_ns=(MS, 2 * MS))
    found = played(system, "multi-stream", Rule(662, 0.0, 60.0), Load(8))
    assert set(found.samples_ns) == {12 * MS}
    summary = summarise(taken(found, "multi-stream", Rule(662, 0.0, 60.0), runs_per_query=8))
    assert summary.early_stopping_percentile == 0.99
    assert summary.early_stopping_ms == 12.0
    assert summary.throughput_qps == pytest.approx(1e9 / (1.5 * MS))


def test_offline_is_told_in_runs_a_second() -> None:
    rule = rule_of("offline", "rapid")
    found = played(Scripted(run_ns=(2 * MS,)), "offline", rule)
    assert sum(window.count for window in found.windows) >= rule.least_count
    assert summarise(taken(found, "offline", rule)).throughput_qps == pytest.approx(500.0)


def taken(found: Played, scenario: Scenario, rule: Rule, **changes: object) -> object:
    """The measurement of what was played."""
    made = make(samples_ns=(1,), scenario=scenario)
    return replace(made, samples_ns=found.samples_ns, windows=found.windows, rule=rule, **changes)


def test_a_server_s_latency_counts_from_the_arrival() -> None:
    rule, rate = Rule(2000, 0.0, 600.0), 400.0
    found = played(Scripted(run_ns=(2 * MS,)), "server", rule, Load(1, rate))
    # Lindley's recursion, by itself: each waits for those before it.
    arrivals = poisson_ns(2000, rate).tolist()
    expected, free = [], 0
    for arrival in arrivals:
        free = max(free, arrival) + 2 * MS
        expected.append(free - arrival)
    assert list(found.samples_ns) == expected
    # A queue of Poisson arrivals and fixed service (M/D/1): the mean wait is r s / (2 (1 - r)).
    mean_ms = sum(expected) / len(expected) / 1e6
    assert mean_ms == pytest.approx(2 + 0.8 * 2 / (2 * 0.2), rel=0.25)
    assert found.windows[0].late == 0


def test_a_server_without_a_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="--qps"):
        played(Scripted(), "server", Rule(10, 0.0, 60.0))


def test_a_late_generator_makes_the_run_invalid() -> None:
    system = Scripted(run_ns=(2 * MS,), wake_ns=MS)
    found = played(system, "server", Rule(500, 0.0, 600.0), Load(1, 50.0))
    assert found.windows[0].late > 400
    assert any("late" in reason for reason in reasons(found.windows[0]))


def test_a_server_is_valid_where_99_percent_are_in_time() -> None:
    rule = Rule(1000, 0.0, 600.0)
    found = played(Scripted(run_ns=(2 * MS,)), "server", rule, Load(1, 100.0))
    in_time = summarise(taken(found, "server", rule, deadline_ms=50.0))
    assert in_time.invalid == ()
    too_late = summarise(taken(found, "server", rule, deadline_ms=2.5))
    assert "lower --qps" in too_late.invalid[0]
    few = played(Scripted(run_ns=(2 * MS,)), "server", Rule(300, 0.0, 600.0), Load(1, 100.0))
    undecided = summarise(taken(few, "server", Rule(300, 0.0, 600.0), deadline_ms=500.0))
    assert "159 more runs needed to tell" in undecided.invalid[0]


def test_poisson_arrivals() -> None:
    gaps_s = np.diff(poisson_ns(20_000, 250.0)) / 1e9
    assert gaps_s.mean() == pytest.approx(1 / 250, rel=0.03)
    assert gaps_s.std() == pytest.approx(1 / 250, rel=0.03)
    np.testing.assert_array_equal(poisson_ns(10, 250.0), poisson_ns(20_000, 250.0)[:10])


def test_cold_starts_open_the_model_each_time() -> None:
    system = Scripted()
    found = played(system, "cold-start", rule_of("cold-start", "rapid"))
    assert system.opened == 10
    assert list(found.samples_ns) == [30 * MS + n for n in range(1, 11)]


def test_presets_are_mlperf_mobile_s() -> None:
    assert {name: (one.least_count, one.least_s) for name, one in PRESETS.items()} == {
        "normal": (1024, 60.0),
        "quick": (128, 10.0),
        "rapid": (64, 6.0),
        # Not theirs: a first look.
        "glance": (64, 1.0),
    }


def taking(times_ns: list[int]) -> object:
    """What gives those times, one run after the other."""
    left = iter(times_ns)

    def take(count: int, _max_s: float) -> np.ndarray:
        return np.asarray([next(left) for _ in range(count)])

    return take


def test_a_warm_up_ends_where_times_settle() -> None:
    settling = [int(10 * MS * (1 + 9 * 0.9**n)) for n in range(200)] + [10 * MS] * 200
    found = warm_up(taking(settling), 60.0)
    assert found.settled
    left = settling[found.count]
    assert left <= 10 * MS * 1.05
    assert found.count < 200


def test_a_steady_model_needs_two_blocks() -> None:
    assert warm_up(taking([10 * MS] * 100), 60.0).count == 1 + 2 * 5


def test_times_that_never_settle_are_given_up() -> None:
    growing = [int(MS * 1.1**n) for n in range(120)]
    found = warm_up(taking(growing), 2.0)
    assert not found.settled


def test_a_stream_runs_its_signal_until_enough_of_its_chunks_count() -> None:
    system = Scripted(hot=frozenset({1}))

    def signal() -> np.ndarray:
        system.now_ns += 30 * MS
        return np.asarray([MS, 2 * MS, 3 * MS])

    found = play_stream(system, signal, Rule(5, 0.0, 30.0))
    # The first two passes touch the hot look; of each pass the chunks alone are its span.
    assert [bool(reasons(one)) for one in found.windows] == [True, True, False, False]
    assert [(one.count, one.span_ns, one.round_trip_ns) for one in found.windows[:1]] == [
        (3, 6 * MS, 0)
    ]
    assert summarise(taken(found, "stream", Rule(5, 0.0, 30.0))).rpc_ms is None
