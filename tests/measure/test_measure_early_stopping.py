"""Early stopping beside MLPerf's load generator: its table, its own runs, and a count by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from benchmarks.measuring.early_stopping import LOADGEN, TABLE
from edgetvm.measure.early_stopping import estimate_rank, least_queries, most_over
from edgetvm.measure.statistics import percentile


def test_the_table_of_the_load_generator() -> None:
    for percent, row in TABLE.items():
        for over, count in row.items():
            assert least_queries(percent, over) == count
            assert most_over(count, percent) == over
            assert most_over(count - 1, percent) == over - 1


def test_a_log_that_is_known() -> None:
    # mlcommons/inference, issue 1079: 7914 queries, "would discard 728 highest".
    assert most_over(7914, 0.9) == 729
    assert estimate_rank(7914, 0.9) == 7914 - 729


@pytest.mark.parametrize(("percent", "count"), [(0.9, 63), (0.99, 661), (0.9, 0)])
def test_too_few_queries_give_no_estimate(percent: float, count: int) -> None:
    assert estimate_rank(count, percent) is None


@given(count=st.integers(1, 3000), percent=st.sampled_from((0.9, 0.95, 0.97, 0.99)))
def test_the_most_that_may_be_over_is_what_a_binomial_distribution_says(
    count: int, percent: float
) -> None:
    chances = binom.cdf(np.arange(count), count, 1 - percent)
    assert most_over(count, percent) == int((chances <= 0.01).sum()) - 1


def logged(folder: Path, seed: int, count: int, percent: float) -> tuple[list[int], str]:
    """The latencies that loadgen measured, and its summary."""
    arguments = [sys.executable, "-c", LOADGEN, str(seed), str(count), str(percent)]
    subprocess.run(arguments, cwd=folder, check=True, timeout=100)
    trace = (folder / "mlperf_log_trace.json").read_text()
    # Not parsed as JSON: some of its strings are not escaped.
    latencies = [int(one) for one in re.findall(r'"complete_ns":(\d+)', trace)]
    return sorted(latencies), (folder / "mlperf_log_summary.txt").read_text()


@pytest.mark.parametrize(
    ("seed", "count", "percent"), [(1, 64, 0.9), (2, 700, 0.9), (3, 2500, 0.9), (4, 3000, 0.99)]
)
def test_the_estimate_is_loadgen_s_on_its_own_runs(
    seed: int, count: int, percent: float, tmp_path: Path
) -> None:
    pytest.importorskip("mlperf_loadgen")
    latencies_ns, summary = logged(tmp_path, seed, count, percent)
    assert len(latencies_ns) == count
    told = re.search(r"Early stopping \S+ percentile estimate: (\d+)", summary)
    assert told is not None
    rank = estimate_rank(count, percent)
    assert rank is not None
    assert latencies_ns[rank] == int(told[1])
    discarded = re.search(r"Would discard (\d+) highest", summary)
    assert discarded is not None
    assert most_over(count, percent) - 1 == int(discarded[1])
    for name, fraction in (("50.00", 0.5), ("90.00", 0.9), ("99.00", 0.99), ("99.90", 0.999)):
        figure = re.search(rf"^{name} percentile latency \(ns\) *: (\d+)", summary, re.M)
        assert figure is not None
        assert percentile(latencies_ns, fraction) == int(figure[1])
