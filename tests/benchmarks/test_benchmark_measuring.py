"""The benchmark of measuring: the model of known durations, the slow network, the comparison."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measuring.busy import Known, busy_package, c_board, ticks_per_ns
from benchmarks.measuring.early_stopping import mismatches
from benchmarks.measuring.slow_network import slowed
from edgetvm.farm import connect
from edgetvm.measure import Queries
from edgetvm.measure.package_on_board import PackageOnBoard


def test_early_stopping_is_loadgen_s() -> None:
    pytest.importorskip("mlperf_loadgen")
    wrong, compared = mismatches(3)
    assert (wrong, compared) == (0, 17 + 3 + 3)


@pytest.mark.board
def test_runs_take_what_is_known_and_the_network_is_in_none_of_them() -> None:
    known = Known(usual_ns=20_000, slow_ns=60_000, slow_pct=25)
    package = busy_package(known, ticks_per_ns())
    with c_board() as board, slowed(0.05), connect(board) as session:
        system = PackageOnBoard(session, package, 1)
        system.open()
        answered = system.time_queries(Queries(200, 60.0))
    service_ns = answered.service_ns
    # The counter is calibrated to a few millionths; nothing can take less than was asked for.
    assert service_ns.min() > 0.99 * known.usual_ns
    assert (service_ns > 0.99 * known.slow_ns).sum() >= 50
    assert answered.round_trip_ns - answered.on_board_ns > 2 * 50_000_000
    assert int(np.sum(service_ns)) <= answered.on_board_ns


def test_a_mean_of_known_runs() -> None:
    assert Known(100, 300, 2).mean_ns == 104
