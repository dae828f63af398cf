"""What makes a window invalid, each reason by itself; and that its samples count for nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_conditions import QUIET, S, window

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from edgetvm.measure import summarise
from edgetvm.measure.rules import Rule
from edgetvm.measure.samples import Samples
from edgetvm.measure.windows import Window, reasons, told_invalid, valid_samples

WRONG: dict[str, tuple[Window, str]] = {
    "throttled now": (window(throttled=0x4), "throttled"),
    "throttled in between": (window(throttled=0x40000), "throttled"),
    "too little power before": (window(before={"throttled": 0x1}, throttled=0), "throttled"),
    "x86 cores slowed down": (
        window(before={"throttle_events": 5}, throttle_events=7),
        "slowed down 2 times",
    ),
    "slow clock": (window(frequencies_khz=(1_400_000,) * 4), "slow clock: no core was above 93%"),
    "governor": (window(governors=("powersave",)), "changed from performance to powersave"),
    "waited": (
        window(waited_ns=1000 + S // 20),
        "waited 5.0% of the time for a core (2% is allowed)",
    ),
    "stolen": (window(stolen_cpu_ns=S // 2), "hypervisor gave 12.5%"),
    "others": (window(busy_cpu_ns=QUIET.busy_cpu_ns + 5 * S), "other processes took 25.0%"),
    "late": (replace(window(count=1000), late=2), "late with 2 of 1000"),
}

RIGHT: dict[str, Window] = {
    "quiet": window(),
    "throttled last week": window(before={"throttled": 0x50000}, throttled=0x50000),
    "one core is quick enough": window(frequencies_khz=(600_000, 600_000, 600_000, 1_500_000)),
    "no clocks are told": window(
        before={"frequencies_khz": (), "max_frequencies_khz": ()}, throttled=None
    ),
    "nothing is told": window(before={"throttled": None, "waited_ns": None, "governors": ()}),
    "a tick of others": window(busy_cpu_ns=QUIET.busy_cpu_ns + 4 * S + 40_000_000),
    "clocks fall where it waits between its runs": replace(
        window(frequencies_khz=(600_000,) * 4), idles=True
    ),
    "one late of many": replace(window(count=1000), late=1),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_window_is_invalid_for_one_reason(name: str) -> None:
    made, words = WRONG[name]
    (reason,) = reasons(made)
    assert words in reason


@pytest.mark.parametrize("name", RIGHT)
def test_a_window_counts(name: str) -> None:
    assert reasons(RIGHT[name]) == ()


def test_samples_of_invalid_windows_are_left_out() -> None:
    hot = WRONG["throttled now"][0]
    windows = [window(count=2), replace(hot, count=3), window(count=1)]
    found = valid_samples(Samples.of(range(6)), windows)
    assert list(found) == [0, 1, 5]
    assert len(found) == 3
    (told,) = told_invalid(windows)
    assert told.startswith("1 of 3 windows (1") and " are INVALID: throttled" in told


def measured(*windows: Window, rule: Rule, **changes: Any) -> Any:
    """A measurement whose samples are 1 ms in valid windows and 9 ms in others."""
    samples = [9 * MS if reasons(one) else MS for one in windows for _ in range(one.count)]
    made = make(samples_ns=tuple(samples), **changes)
    return replace(made, windows=windows, rule=rule)


def test_a_hot_window_is_never_averaged_in_and_more_runs_are_asked_for() -> None:
    hot = replace(WRONG["throttled now"][0], count=300)
    summary = summarise(measured(window(count=200), hot, rule=Rule(300, 0.0, 60.0)))
    assert (summary.count, summary.max_ms, summary.mean_ms) == (200, 1.0, 1.0)
    why = "INVALID: 100 more valid runs needed of 300; measure again"
    assert summary.invalid == (why,)
    # What is missing and why is one sentence.
    (told,) = summary.warnings
    assert told.startswith(f"{why}; 1 of 2 windows (")
    enough = summarise(measured(window(count=300), hot, rule=Rule(300, 0.0, 60.0)))
    assert enough.invalid == ()
    assert any("1 of 2 windows" in one for one in enough.warnings)


def test_nothing_but_hot_windows_is_invalid_as_a_whole() -> None:
    hot = replace(WRONG["throttled now"][0], count=300)
    summary = summarise(measured(hot, rule=Rule(1, 0.0, 60.0)))
    assert summary.max_ms == 9.0
    assert "no window of the measurement is valid" in summary.invalid[0]


def test_too_short_a_measurement_is_invalid() -> None:
    summary = summarise(measured(window(count=300), rule=Rule(64, 6.0, 60.0)))
    (why,) = summary.invalid
    assert "valid windows last 1.0 s, 6 s are needed" in why


def test_an_emulated_board_is_judged_by_nothing() -> None:
    hot = replace(WRONG["throttled now"][0], count=300)
    summary = summarise(measured(hot, rule=Rule(400, 0.0, 60.0), emulated=True))
    assert (summary.count, summary.invalid) == (300, ())


def test_rpc_and_network_are_told_apart_from_times() -> None:
    summary = summarise(measured(window(count=300), rule=Rule(1, 0.0, 60.0)))
    assert summary.rpc_ms == 2.0
    assert summary.throughput_qps == 300.0


def test_other_work_is_told_once_and_not_by_all_that_follows_from_it() -> None:
    waited = replace(WRONG["waited"][0], count=300)
    found = measured(waited, rule=Rule(300, 0.0, 60.0))
    samples = Samples.of([MS] * 200 + [9 * MS] * 100)
    busy = replace(found.environment, load_average=9.0)
    noisy = replace(found, samples_ns=samples, settled=False, environment=busy)
    (told,) = summarise(noisy).warnings
    assert told.startswith("INVALID: no window of the measurement is valid")
    assert "waited 5.0%" in told
    # Where no window says why times are spread, the spread itself is told.
    assert len(summarise(replace(noisy, windows=())).warnings) == 3


def test_streams_in_real_time_have_no_rule_and_are_judged_all_the_same() -> None:
    hot = replace(WRONG["throttled now"][0], count=9, idles=True)
    found = replace(measured(hot, rule=Rule(1, 0.0, 60.0)), rule=None, scenario="real-time")
    summary = summarise(found)
    assert "no window of the measurement is valid" in summary.invalid[0]
    assert (summary.throughput_qps, summary.disturbed) == (None, True)
    assert summarise(replace(found, windows=())).invalid == ()
