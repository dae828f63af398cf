"""Percentiles and summaries, beside figures worked out by hand and by numpy."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from edgetvm.measure import percentile, summarise
from edgetvm.measure.measurement import ThreadTurns

SAMPLES = st.lists(st.integers(1, 10**12), min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("count", "fraction", "rank"),
    [
        # floor(n * fraction), the last one at most: MLPerf's loadgen.
        (100, 0.5, 51),
        (100, 0.9, 91),
        (100, 0.99, 100),
        (101, 0.5, 51),
        (10, 0.9, 10),
        (10, 0.99, 10),
        (10, 0.0, 1),
        (10, 1.0, 10),
        (1, 0.5, 1),
        (1, 0.99, 1),
        (2, 0.5, 2),
        (3, 0.5, 2),
    ],
)
def test_percentile_by_hand(count: int, fraction: float, rank: int) -> None:
    assert percentile(list(range(1, count + 1)), fraction) == rank


@given(samples=SAMPLES, fraction=st.floats(0, 1))
def test_a_percentile_is_a_sample_between_numpy_s_neighbours(
    samples: list[int], fraction: float
) -> None:
    samples.sort()
    found = percentile(samples, fraction)
    assert found in samples
    at_most_below = sum(sample < found for sample in samples)
    assert at_most_below <= len(samples) * fraction


@given(samples=SAMPLES)
def test_the_outermost_percentiles_are_numpy_s(samples: list[int]) -> None:
    samples.sort()
    assert percentile(samples, 0.0) == np.quantile(samples, 0.0, method="lower") == samples[0]
    assert percentile(samples, 1.0) == np.quantile(samples, 1.0, method="higher") == samples[-1]


@given(half=st.integers(0, 80), fraction=st.just(0.5))
def test_the_median_of_an_odd_count_is_numpy_s(half: int, fraction: float) -> None:
    samples = sorted(np.random.default_rng(half).integers(1, 10**9, 2 * half + 1).tolist())
    assert percentile(samples, fraction) == np.quantile(samples, fraction, method="lower")
    assert percentile(samples, fraction) == np.quantile(samples, fraction, method="higher")


@pytest.mark.parametrize(
    ("values", "fraction"), [([], 0.5), ([1], -0.1), ([1], 1.1), ([1], float("nan"))]
)
def test_no_percentile(values: list[int], fraction: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, fraction)


def test_a_summary_by_hand() -> None:
    summary = summarise(make(deadline_ms=99.5, samples_ns=tuple(range(100 * MS, 0, -MS))))
    assert (summary.count, summary.min_ms, summary.max_ms) == (100, 1.0, 100.0)
    assert (summary.p50_ms, summary.p90_ms, summary.p99_ms) == (51.0, 91.0, 100.0)
    assert summary.mean_ms == pytest.approx(50.5)
    assert summary.cold_start_ms == 300.0
    assert summary.deadline_misses == 1
    assert summary.real_time_factor is None


def test_a_stream_s_real_time_factor_is_by_hand() -> None:
    summary = summarise(make(scenario="stream", chunk_ms=32.0, samples_ns=(4 * MS, 12 * MS)))
    assert summary.real_time_factor == pytest.approx(0.25)
    assert summary.deadline_misses is None


def test_a_run_that_takes_just_the_deadline_is_in_time() -> None:
    measurement = make(deadline_ms=5.0, samples_ns=(5 * MS, 5 * MS + 1, 4 * MS))
    assert summarise(measurement).deadline_misses == 1


def test_a_clean_measurement_has_no_warning() -> None:
    assert summarise(make(samples_ns=(MS,) * 200)).warnings == ()


def test_each_doubt_has_its_warning_and_remedy() -> None:
    clean = make(samples_ns=(MS,) * 200)

    def warnings(**changes: object) -> tuple[str, ...]:
        environment = replace(
            clean.environment,
            **{key: value for key, value in changes.items() if key != "samples_ns"},
        )
        samples = changes.get("samples_ns", clean.samples_ns)
        return summarise(replace(clean, samples_ns=samples, environment=environment)).warnings

    (emulated,) = warnings(emulated=True)
    assert "emulated" in emulated
    checked = replace(clean.correctness, own_data="words")
    (mine,) = summarise(replace(clean, correctness=checked)).warnings
    assert "the data in words" in mine
    unsettled = replace(clean, settled=False, warmup=77)
    (told,) = summarise(unsettled).warnings
    assert "not settled after 77 runs" in told
    (few,) = warnings(samples_ns=(MS,) * 199)
    assert "199 samples" in few
    assert "--runs" in few
    (uneven,) = warnings(samples_ns=(MS,) * 179 + (2 * MS,) * 21)
    assert "p90" in uneven
    # 1.25 times is still even.
    assert warnings(samples_ns=(4 * MS,) * 179 + (5 * MS,) * 21) == ()
    (governor,) = warnings(governor="powersave")
    assert "powersave" in governor
    assert warnings(governor=None) == ()
    (load,) = warnings(load_average=4.5)
    assert "4.5 on 4 cores" in load
    assert warnings(load_average=4.0) == ()
    assert len(warnings(emulated=True, samples_ns=(MS, MS, MS, 9 * MS), governor="ondemand")) == 3


@pytest.mark.parametrize(
    ("all_ns", "one_ns", "said"),
    [
        ((30, 10, 30), (10, 10, 90), "4 threads take 3.0 times as long as one"),
        ((1200, 1200, 1200), (10, 10, 10), "4 threads take 120 times as long as one"),
        ((10, 10, 10), (30, 30, 30), None),
        # What lies this near may be chance.
        ((105, 105, 105), (100, 100, 100), None),
        ((120, 120, 120), (100, 100, 100), "4 threads take 1.2 times as long as one"),
    ],
)
def test_threads_that_cost_more_than_they_give_are_told(
    all_ns: tuple[int, ...], one_ns: tuple[int, ...], said: str | None
) -> None:
    measurement = make(samples_ns=(MS,) * 200, thread_turns=ThreadTurns(all_ns, one_ns))
    warnings = summarise(measurement).warnings
    if said is None:
        assert warnings == ()
    else:
        (warning,) = warnings
        assert said in warning
        assert "--threads 1" in warning
