"""Comparisons of medians: against hand-computed values and scipy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from edgetvm.measure.comparing import Comparison, compare, confirmed, holm, verdict

LATENCIES = st.lists(st.floats(0.01, 1e4), min_size=2, max_size=12)


def test_by_hand() -> None:
    """Five processes beside five, none of the one within the other's: the least p there is."""
    found = compare([1.0, 1.1, 1.0, 0.9, 1.0], [2.0, 2.2, 2.0, 1.8, 2.0])
    assert (found.first_ms, found.second_ms, found.ratio, found.processes) == (1.0, 2.0, 2.0, 5)
    assert found.p < 0.012
    assert found.low <= 2.0 <= found.high
    apart = compare([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert apart.p == pytest.approx(2 / 252)


def test_the_interval_is_scipys() -> None:
    random = np.random.default_rng(3)
    first, second = random.gamma(9, 1, 30), random.gamma(9, 1.2, 30)

    def ratio(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return np.median(b, axis=axis) / np.median(a, axis=axis)

    expected = bootstrap(
        (first, second), ratio, vectorized=True, method="percentile", rng=1
    ).confidence_interval
    found = compare(list(first), list(second))
    assert found.low == pytest.approx(expected.low, rel=0.02)
    assert found.high == pytest.approx(expected.high, rel=0.02)


@settings(max_examples=20)
@given(LATENCIES, LATENCIES)
def test_of_any_latencies(first: list[float], second: list[float]) -> None:
    found = compare(first, second)
    assert 0 < found.low <= found.high
    assert 0 <= found.p <= 1
    back = compare(second, first)
    assert back.ratio == pytest.approx(1 / found.ratio)
    assert back.p == pytest.approx(found.p)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0]])
def test_what_cannot_be_compared(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        compare(values or [1.0], [1.0, 2.0])


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 (not below what came before), 0.5 x 1."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def _found(low: float, high: float, processes: int = 5) -> Comparison:
    return Comparison(1, 1, 1, low, high, 0.001, processes)


@pytest.mark.parametrize(
    ("found", "p", "said"),
    [
        (_found(1.031, 1.06), 0.001, "regression"),
        (_found(1.031, 1.06), 0.02, "inconclusive"),
        (_found(1.031, 1.06, processes=4), 0.001, "inconclusive"),
        (_found(1.02, 1.06), 0.001, "inconclusive"),
        (_found(1.0, 1.03), 0.001, "pass"),
        (_found(0.5, 0.6), 0.001, "pass"),
    ],
)
def test_verdicts_at_three_percent(found: Comparison, p: float, said: str) -> None:
    assert verdict(found, p, 0.03) == said


def test_an_alarm_counts_only_twice() -> None:
    assert confirmed("regression", "regression") == "regression"
    assert confirmed("regression", "pass") == "inconclusive"
    assert confirmed("inconclusive", "pass") == "pass"
    assert confirmed("inconclusive", "inconclusive") == "inconclusive"


def test_how_often_the_same_thing_is_flagged() -> None:
    """Of processes whose medians vary by 2%, ten each: at most one in forty pairs."""
    random = np.random.default_rng(5)
    flagged = 0
    for _ in range(40):
        runs = [compare(*random.normal(1, 0.02, (2, 10))) for _ in range(2)]
        flagged += confirmed(*(verdict(one, one.p, 0.03) for one in runs)) == "regression"
    assert flagged <= 1
