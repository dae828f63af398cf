"""How well edgetvm measures: `python -m benchmarks.measuring`.

A package whose runs take a known time (it spins on the processor's time stamp counter) is measured
on edgetvm's C program on this machine: what p50 and p99 are off by, what measuring costs a run,
how far ten medians lie apart, what a network that is 200 ms late changes, whether other work is
noticed.
Early stopping is compared with MLPerf's load generator. Ten million samples are stored and
summarised. Ends with one line of figures.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measuring.busy import Known, busy_package, c_board, ticks_per_ns
from benchmarks.measuring.early_stopping import mismatches
from benchmarks.measuring.many import stored
from benchmarks.measuring.slow_network import slowed
from edgetvm.boards import load_profile
from edgetvm.farm import Board, connect
from edgetvm.measure import Measurement, Plan, Queries, measure
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.rules import Rule
from edgetvm.measure.samples import Samples, Spool, ranked
from edgetvm.measure.scenarios import Load, Played, play
from edgetvm.measure.statistics import percentile_rank
from edgetvm.measure.windows import reasons, valid_samples
from edgetvm.models import ImportOptions
from edgetvm.models.reference import Source
from edgetvm.package.archive import Package

KNOWN = Known(usual_ns=100_000, slow_ns=300_000, slow_pct=2)
STEADY = Known(usual_ns=100_000, slow_ns=100_000, slow_pct=0)
_TIMES = 10
# On a machine that is never quiet.
_MOST_S = 12.0
_NETWORK_S = 0.2


def _off_pct(found: float, known: float) -> float:
    return 100 * abs(found - known) / known


def _played(board: Board, package: Package, runs: int) -> Played:
    with connect(board) as session:
        system = PackageOnBoard(session, package, 1)
        system.open()
        system.time_queries(Queries(200, 10.0))
        return play(system, "single-stream", Rule(runs, 0.0, _MOST_S), Load())


def _percentile_ns(samples: Samples, fraction: float) -> int:
    return ranked(samples, [percentile_rank(len(samples), fraction)])[0]


def accuracy(board: Board, rate: float, runs: int) -> dict[str, Any]:
    """Of percentiles, of all windows that are valid; not a number where none is.

    Windows are of 500 runs here, 50 ms: on a machine that others use few of a second are valid.
    """
    spool, windows, valid, until_s = Spool(), [], 0, time.monotonic() + _MOST_S
    with connect(board) as session:
        system = PackageOnBoard(session, busy_package(KNOWN, rate), 1)
        system.open()
        while valid < runs and time.monotonic() < until_s:
            played = play(system, "single-stream", Rule(500, 0.0, 0.05), Load())
            windows += played.windows
            valid += sum(one.count for one in played.windows if not reasons(one))
            for chunk in played.samples_ns.chunks():
                spool.add(chunk)
    samples = valid_samples(spool.samples(), windows)
    found = [_percentile_ns(samples, one) if len(samples) else math.nan for one in (0.5, 0.99)]
    return {
        "p50_error_pct": _off_pct(found[0], KNOWN.usual_ns),
        "p99_error_pct": _off_pct(found[1], KNOWN.slow_ns),
        "samples": len(samples),
        "windows": len(windows),
        "invalid_windows": sum(bool(reasons(one)) for one in windows),
    }


def overhead_us(board: Board, rate: float) -> float:
    """From the beginning of a run to that of the next, less what the run takes by itself."""
    with connect(board) as session:
        system = PackageOnBoard(session, busy_package(STEADY, rate), 1)
        system.open()
        answered = system.time_queries(Queries(10_000, 10.0))
    return (float(np.median(np.diff(answered.began_ns))) - STEADY.usual_ns) / 1e3


def medians_ns(board: Board, package: Package, times: int, runs: int) -> list[int]:
    """Of the same package, measured so many times in a row."""
    found = []
    for _ in range(times):
        played = _played(board, package, runs)
        valid = valid_samples(played.samples_ns, played.windows)
        found.append(_percentile_ns(valid if len(valid) else played.samples_ns, 0.5))
    return found


def _spin() -> None:
    while True:
        pass


@contextmanager
def _load() -> Iterator[None]:
    """Every core is busy with something else."""
    workers = [multiprocessing.Process(target=_spin, daemon=True) for _ in os.sched_getaffinity(0)]
    for one in workers:
        one.start()
    try:
        yield
    finally:
        for one in workers:
            one.terminate()
            one.join()


def flagged_under_load(board: Board, package: Package) -> bool:
    """Whether a measurement beside other work has an invalid window."""
    with _load():
        played = _played(board, package, 5_000)
    return any(reasons(one) for one in played.windows)


def measured(board: Board, package: Package) -> Measurement:
    """A measurement as `edgetvm bench` keeps it."""
    with connect(board) as session:
        source = Source(Path("busy.c"), ImportOptions(), package.manifest.signature)
        return measure(session, package, load_profile("local"), source=source, plan=Plan(runs=5))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and end with the line of figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measuring", description=__doc__)
    parser.add_argument("--runs", type=int, default=30_000, help="of the known model")
    parser.add_argument("--samples", type=int, default=10_000_000, help="to store")
    parser.add_argument("--logs", type=int, default=20, help="runs of loadgen to compare with")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    rate = ticks_per_ns()
    with c_board() as board:
        figures = accuracy(board, rate, options.runs)
        figures["overhead_us"] = overhead_us(board, rate)
        steady = busy_package(STEADY, rate)
        medians = medians_ns(board, steady, _TIMES, 3_000)
        figures["median_spread_pct"] = 100 * (max(medians) - min(medians)) / min(medians)
        with slowed(_NETWORK_S / 2):
            (late_ns,) = medians_ns(board, steady, 1, 3_000)
        figures["slow_network_pct"] = _off_pct(late_ns, median(medians))
        figures["flagged_under_load"] = flagged_under_load(board, steady)
        template = measured(board, steady)
    wrong, compared = mismatches(options.logs)
    figures |= {"early_stopping_mismatches": wrong, "early_stopping_compared": compared}
    figures |= stored(template, options.samples)
    for name, value in figures.items():
        print(f"{name:28} {value:.4g}" if isinstance(value, float) else f"{name:28} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    told = ("p50_error_pct", "p99_error_pct", "overhead_us", "median_spread_pct")
    line = " ".join(f"{name}={figures[name]:.3f}" for name in told)
    print(f"result: {line} early_stopping_mismatches={wrong}")


if __name__ == "__main__":
    main()
