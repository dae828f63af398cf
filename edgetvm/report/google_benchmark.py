"""Measurements in the JSON of google/benchmark, for its `compare.py`, Bencher and benchmark-action.

Source: google/benchmark, src/json_reporter.cc and docs/tools.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from statistics import fmean, median, stdev
from typing import Any

from edgetvm.base.version import __version__
from edgetvm.base.words import printable
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.windows import reasons
from edgetvm.report.background import NO_BACKGROUND, Background
from edgetvm.report.conditions import looks_of
from edgetvm.report.results import Result, as_given

_HOW = (
    "real_time is the median (p50) of the iterations of one process, and cpu_time what all its "
    "threads had of the cores for each, or real_time where that is not known. Repetitions are "
    "processes."
)


def render_google_benchmark(
    measurements: Sequence[Measurement], background: Background = NO_BACKGROUND
) -> str:
    """One benchmark for each model, board and setting; several measurements are its repetitions.

    Raises:
        UsageError: no measurements.
    """
    del background  # the format has no place for it
    families: dict[str, list[Result]] = {}
    for result in as_given(measurements):
        families.setdefault(_name(result), []).append(result)
    benchmarks: list[dict[str, Any]] = []
    for family, (name, processes) in enumerate(families.items()):
        benchmarks += _family(name, family, processes)
    first = next(iter(families.values()))[0].measurement
    document = {"context": _context(first), "benchmarks": benchmarks}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _name(result: Result) -> str:
    measurement = result.measurement
    place = measurement.environment
    parts = [measurement.model, place.device, measurement.scenario, result.setting]
    return printable("/".join([*parts, "emulated"] if place.emulated else parts))


def _context(measurement: Measurement) -> dict[str, Any]:
    place = measurement.environment
    looks = looks_of(measurement)
    clocks = [clock for look in looks for clock in look.max_frequencies_khz]
    return {
        "date": measurement.taken_at,
        "host_name": printable(place.device),
        "executable": f"edgetvm {__version__}",
        "num_cpus": place.cores,
        "mhz_per_cpu": round(max(clocks, default=0) / 1e3),
        "cpu_scaling_enabled": place.governor not in (None, "performance"),
        "caches": [],
        "load_avg": [place.load_average],
        "library_build_type": "release",
        "json_schema_version": 1,
        "how": _HOW,
    }


def _family(name: str, family: int, processes: Sequence[Result]) -> list[dict[str, Any]]:
    common = {
        "name": name,
        "family_index": family,
        "per_family_instance_index": 0,
        "run_name": name,
        "run_type": "iteration",
        "repetitions": len(processes),
    }
    found = [
        {**common, "repetition_index": index, **_process(result)}
        for index, result in enumerate(processes)
    ]
    return found + (_aggregates(common, found) if len(found) > 1 else [])


def _process(result: Result) -> dict[str, Any]:
    measurement, summary = result.measurement, result.summary
    cpu_ms = _cpu_ms(measurement)
    told = {
        "threads": measurement.environment.threads,
        "iterations": summary.count,
        "real_time": summary.p50_ms,
        "cpu_time": summary.p50_ms if cpu_ms is None else cpu_ms,
        "time_unit": "ms",
        "p90_ms": summary.p90_ms,
        "p99_ms": summary.p99_ms,
        "peak_memory_bytes": measurement.peak_memory_bytes,
        "package_size_bytes": measurement.package_size_bytes,
    }
    if result.findings:
        told["label"] = printable("; ".join(result.findings))
    if not result.right:
        told |= {"error_occurred": True, "error_message": printable(result.findings[0])}
    return told


def _cpu_ms(measurement: Measurement) -> float | None:
    windows = [one for one in measurement.windows if not reasons(one)] or measurement.windows
    count = sum(window.count for window in windows)
    spent_ns = sum(window.after.own_cpu_ns - window.before.own_cpu_ns for window in windows)
    return spent_ns / count / 1e6 if count and spent_ns > 0 else None


def _coefficient_of_variation(values: Sequence[float]) -> float:
    return stdev(values) / (fmean(values) or 1.0)


_AGGREGATES: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "mean": ("time", fmean),
    "median": ("time", median),
    "stddev": ("time", stdev),
    "cv": ("percentage", _coefficient_of_variation),
}


def _aggregates(common: dict[str, Any], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for kind, (unit, of) in _AGGREGATES.items():
        times = {key: of([one[key] for one in found]) for key in ("real_time", "cpu_time")}
        row = {**common, "name": f"{common['name']}_{kind}", "run_type": "aggregate"}
        row |= {"threads": found[0]["threads"], "iterations": len(found), "time_unit": "ms"}
        rows.append({**row, "aggregate_name": kind, "aggregate_unit": unit, **times})
    return rows
