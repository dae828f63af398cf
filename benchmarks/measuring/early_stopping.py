"""Early stopping beside MLPerf's load generator: its table, its own runs, and its loop by hand."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgetvm.measure.early_stopping import estimate_rank, least_queries

# From loadgen/early_stopping.cc, by percentile: h(t) + t for so many queries over the bound.
TABLE = {
    0.9: {0: 44, 1: 64, 2: 81, 5: 127, 10: 197},
    0.95: {0: 90, 1: 130, 2: 165, 5: 259, 10: 398},
    0.99: {0: 459, 1: 662, 2: 838, 5: 1307, 10: 2010},
    0.999: {0: 4603, 1: 6636},
}
# Runs a system whose latencies are drawn at random, and writes loadgen's logs beside it.
LOADGEN = """
import random, sys, time
import mlperf_loadgen as lg
seed, count, share = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
draw = random.Random(seed)
def issue(samples):
    for sample in samples:
        until = time.perf_counter() + draw.lognormvariate(0, 0.6) * 10e-6
        while time.perf_counter() < until:
            pass
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0)])
settings = lg.TestSettings()
settings.scenario = lg.TestScenario.SingleStream
settings.mode = lg.TestMode.PerformanceOnly
settings.min_duration_ms = settings.max_duration_ms = 0
settings.min_query_count = settings.max_query_count = count
settings.single_stream_target_latency_percentile = share
logs = lg.LogSettings()
logs.enable_trace = True
system = lg.ConstructSUT(issue, lambda: None)
library = lg.ConstructQSL(64, 64, lambda _: None, lambda _: None)
lg.StartTestWithLogSettings(system, library, settings, logs, "")
"""


def mismatches(logs: int) -> tuple[int, int]:
    """How often the estimate is another than loadgen's, and how many were compared.

    Args:
        logs: runs of loadgen, and as many counts drawn at random.
    """
    compared = [
        least_queries(percent, over) == count
        for percent, row in TABLE.items()
        for over, count in row.items()
    ]
    draw = np.random.default_rng(7)
    counts = draw.integers(1, 9000, logs).tolist()
    drawn = list(zip(counts, draw.choice((0.9, 0.95, 0.99), logs).tolist(), strict=True))
    compared += [estimate_rank(*one) == _by_loop(*one) for one in drawn]
    if importlib.util.find_spec("mlperf_loadgen") is not None:
        compared += [_as_loadgen(seed, 64 + seed * 397 % 4000) for seed in range(logs)]
    return compared.count(False), len(compared)


def _by_loop(count: int, percent: float) -> int | None:
    """As results.cc does it: one more query over the bound at a time, until there are too few."""
    from scipy.stats import binom

    over = 0
    while binom.cdf(over + 1, count, 1 - percent) <= 0.01:
        over += 1
    return count - over if over >= 1 else None


def _as_loadgen(seed: int, count: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="edgetvm-loadgen-") as folder:
        command = [sys.executable, "-c", LOADGEN, str(seed), str(count), "0.9"]
        subprocess.run(command, cwd=folder, check=True, timeout=100)
        trace = Path(folder, "mlperf_log_trace.json").read_text()
        summary = Path(folder, "mlperf_log_summary.txt").read_text()
    latencies = sorted(int(one) for one in re.findall(r'"complete_ns":(\d+)', trace))
    told = re.search(r"Early stopping \S+ percentile estimate: (\d+)", summary)
    rank = estimate_rank(count, 0.9)
    return told is not None and rank is not None and latencies[rank] == int(told[1])
