"""Where the time of a run goes, beside what the board allows."""

from __future__ import annotations

from collections.abc import Sequence

from edgetvm.base.words import told_nodes
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.operators import OperatorTime, operator_times
from edgetvm.report.charts import Bar, Work, bars, roofline


def operator_bars(found: Sequence[OperatorTime], most: int) -> str:
    """A bar for each of the slowest operators, with a mark where the roofline lies."""
    rows = [
        Bar(
            told_nodes(one.nodes) if one.nodes else one.name,
            one.us,
            f"{one.us:.3g} µs, {one.share:.0%}",
            None if (share := _of_roof(one)) is None else one.us * share,
        )
        for one in found[:most]
    ]
    rest = found[most:]
    if rest:
        us, share = sum(one.us for one in rest), sum(one.share for one in rest)
        rows.append(Bar(f"{len(rest)} more", us, f"{us:.3g} µs, {share:.0%}"))
    return bars(rows, "Time of a run by operators", 250, 120)


def _of_roof(one: OperatorTime) -> float | None:
    """How near it comes to the roof; of its arithmetic alone where memory was not measured."""
    return one.of_peak if one.of_bound is None else one.of_bound


def operator_roofline(measurement: Measurement, most: int) -> str:
    """The slowest operators under the board's roof; empty where there is no such bound."""
    found = [one for one in operator_times(measurement) if one.of_peak and one.moved_gbs]
    roof, peak_gflops = measurement.roofline, measurement.peak_gflops
    if not found or not peak_gflops:
        return ""
    works = [
        Work(
            (one.gflops or 0.0) / (one.moved_gbs or 1.0),
            one.gflops or 0.0,
            one.share,
            f"{told_nodes(one.nodes) if one.nodes else one.name}: {one.gflops:.3g} GFLOP/s",
        )
        for one in found[:most]
    ]
    memory_gbs = None if roof is None else roof.memory_gbs
    title = f"{len(works)} operators under {peak_gflops:.4g} GFLOP/s"
    return roofline(works, peak_gflops, memory_gbs, title)
