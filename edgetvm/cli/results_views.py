"""What `edgetvm results` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural, printable
from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from edgetvm.measure.experiment.membership import PartOf
    from edgetvm.measure.measurement import Measurement
    from edgetvm.measure.statistics import Summary


def verdict(measurement: Measurement, summary: Summary) -> str:
    """VALID, or INVALID."""
    from edgetvm.measure import figures_of

    run = measurement.real_time
    late = run is not None and figures_of(run).invalid
    return "INVALID" if summary.invalid or late else "VALID"


def listed(measurement: Measurement, part: PartOf | None) -> dict[str, Any]:
    """One line of the history.

    Args:
        part: of an experiment, where it is one.
    """
    from edgetvm.measure import summarise

    summary, place = summarise(measurement), measurement.environment
    return {
        "id": measurement.id,
        "model": measurement.model,
        "device": place.device,
        "emulated": place.emulated,
        "scenario": measurement.scenario,
        "part_of": "" if part is None else str(part),
        "samples": len(measurement.samples_ns),
        "p50_ms": summary.p50_ms,
        "p99_ms": summary.p99_ms,
        "verdict": "emulated" if place.emulated else verdict(measurement, summary),
    }


def results_view(rows: Sequence[Mapping[str, Any]], are_chosen: bool) -> Table | str:
    """The history as a table.

    Args:
        rows: see `listed`.
        are_chosen: by model or device, so that there may be others.
    """
    if not rows and are_chosen:
        return "nothing of that is kept here; see all: edgetvm results list"
    if not rows:
        return "nothing is kept here yet: edgetvm bench MODEL"
    two = ("model\nid", "device\nscenario", "samples\nverdict")
    table = new_table(*two, "p50", "p99", right=(two[2], "p50", "p99"), folded=two)
    for row in rows:
        scenario = ", ".join(filter(None, (row["scenario"], row["part_of"])))
        pairs = (row["model"], row["id"]), (row["device"], scenario)
        times = (format_ms(row["p50_ms"]), format_ms(row["p99_ms"]))
        cells = (*pairs, (str(row["samples"]), row["verdict"]))
        table.add_row(*(Text("\n".join(map(printable, pair))) for pair in cells), *times)
    return table


def document_of(measurement: Measurement) -> Iterator[str]:
    """Figures and raw data, as pieces of JSON."""
    from edgetvm.measure import summarise
    from edgetvm.measure.exchange import exported
    from edgetvm.measure.operators import operator_times

    operators = [asdict(one) for one in operator_times(measurement)]
    yield f'{{"summary": {json.dumps(asdict(summarise(measurement)))}, '
    yield f'"operators": {json.dumps(operators)}, "measurement": '
    for piece in exported(measurement):
        yield piece.decode()
    yield "}\n"


def described(measurement: Measurement) -> dict[str, object]:
    """Everything that is worth a line; what is not known has none."""
    from edgetvm.measure import summarise
    from edgetvm.report.conditions import energy_told, looks_told

    summary, place = summarise(measurement), measurement.environment
    rows: dict[str, object | None] = {
        "model": measurement.model,
        "scenario": f"{measurement.scenario}{_of_rule(measurement)}",
        "verdict": "emulated: ranked with nothing"
        if place.emulated
        else verdict(measurement, summary),
        **{f"why {n}": sentence for n, sentence in enumerate(summary.warnings, 1)},
        "samples": f"{summary.count} counted of {len(measurement.samples_ns)}, after "
        f"{plural(measurement.warmup, 'run')} of warm-up",
        **_percentiles(summary),
        "mean": format_ms(summary.mean_ms),
        "throughput": summary.throughput_qps and f"{summary.throughput_qps:.1f} runs a second",
        "highest rate": _highest_rate(measurement),
        "cold start": format_ms(summary.cold_start_ms),
        "RPC and network": None
        if summary.rpc_ms is None
        else f"{format_ms(summary.rpc_ms)} a call, not in times",
        "roofline": _roofline(measurement),
        "memory": format_bytes(measurement.peak_memory_bytes),
        **looks_told(measurement),
        "energy": energy_told(measurement),
        "device": f"{place.device}, {place.cpu}, {place.machine}, Linux {place.kernel}",
        "threads": f"{place.threads} of {plural(place.cores, 'core')}",
        "package": measurement.package_sha256,
        "versions": ", ".join(f"{name} {one}" for name, one in place.versions.items()),
    }
    return {name: value for name, value in rows.items() if value is not None}


def shown(measurement: Measurement, most_rows: int = 12) -> RenderableType:
    """One measurement: facts, its streams, peers and layers, and where the time of a run goes."""
    from rich.console import Group

    from edgetvm.report import layer_tables, peer_tables, real_time_tables

    found: list[RenderableType] = [fact_table(described(measurement))]
    for tables in (real_time_tables, peer_tables, layer_tables):
        found += tables([measurement])
    operators = _operators(measurement, most_rows)
    return Group(*found, *(() if operators is None else ("", operators)))


def _operators(measurement: Measurement, most_rows: int) -> Table | None:
    from edgetvm.base.words import told_nodes
    from edgetvm.measure.operators import operator_times

    found = operator_times(measurement)
    if not found:
        return None
    numbers = ("share", "µs", "calls", "GFLOP/s", "GB/s", "of bound")
    table = new_table(*numbers, "bound by", "nodes", right=numbers, folded=("nodes",))
    for one in found[:most_rows]:
        figures = (
            f"{one.share:.1%}",
            f"{one.us:.4g}",
            str(one.calls),
            "" if one.gflops is None else f"{one.gflops:.1f}",
            "" if one.moved_gbs is None else f"{one.moved_gbs:.1f}",
            "" if one.of_bound is None else f"{one.of_bound:.0%}",
            one.bound_by or "",
        )
        add_row(table, *figures, told_nodes(one.nodes) if one.nodes else one.name)
    return table


def _of_rule(measurement: Measurement) -> str:
    rule = measurement.rule
    if rule is None:
        return ""
    asked = f"at least {plural(rule.least_count, 'run')}"
    asked += f" and {rule.least_s:g} s" if rule.least_s else ""
    rate = f", {measurement.target_qps:g} queries a second" if measurement.target_qps else ""
    return f" ({', '.join(filter(None, (measurement.preset, asked)))}{rate})"


def _roofline(measurement: Measurement) -> str | None:
    roofline = measurement.roofline
    if roofline is None or roofline.memory_gbs is None:
        return None
    return f"{roofline.gflops:.4g} GFLOP/s, and {roofline.memory_gbs:.3g} GB/s from memory"


def _highest_rate(measurement: Measurement) -> str | None:
    search, qps = measurement.rate_search, measurement.target_qps
    if search is None or qps is None:
        return None
    told = f"{qps:.4g} queries a second keep {format_ms(search.bound_ms)}"
    return f"{told}, found in {plural(len(search.trials), 'trial')}"


def _percentiles(summary: Summary) -> dict[str, str]:
    values = {
        "p50": summary.p50_ms,
        "p90": summary.p90_ms,
        "p99": summary.p99_ms,
        "p99.9": summary.p999_ms,
    }
    rows = {}
    for name, value_ms in values.items():
        pair = summary.bounds_ms.get(name)
        rows[name] = f"{format_ms(value_ms)} " + (
            f"({format_ms(pair[0])} to {format_ms(pair[1])}, 95%)"
            if pair
            else "(too few samples for bounds)"
        )
    if summary.early_stopping_ms is not None and summary.early_stopping_percentile is not None:
        name = f"p{summary.early_stopping_percentile * 100:g} at most"
        rows[name] = f"{format_ms(summary.early_stopping_ms)} (early stopping, 99%)"
    return rows
