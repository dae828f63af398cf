"""Reports for notes and for spreadsheets: Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import told_nodes
from edgetvm.measure.beside import Beside
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.operators import operator_times
from edgetvm.measure.real_time import RealTime
from edgetvm.report.across import Matrix, board_rows, matrix_of
from edgetvm.report.background import NO_BACKGROUND, Background
from edgetvm.report.escaping import csv_cell, markdown_section, markdown_text
from edgetvm.report.peers import PEER_HEAD, PEER_HOW, peer_rows
from edgetvm.report.real_time import real_time_lines
from edgetvm.report.results import Result, results
from edgetvm.report.table import part_lines, warning_lines
from edgetvm.report.verdict import verdicts
from edgetvm.report.words import NONE, format_factor, format_figure, shown, told_error

_MOST_OPERATORS = 5
_HEAD = (
    "Model",
    "Device",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "Cold start ms",
    "Peak memory",
    "Package",
    "Real-time factor",
    "Correctness",
    "Metrics",
)
_HOW = (
    "p50, p90 and p99 are of all timed runs (chunks, for a stream), after the warm-up. Cold start "
    "is open plus first run. Peak memory is what the process held beyond the bare server, from "
    "open to the last run. The real-time factor is the mean time of a chunk by the duration of its "
    "signal. Correctness is the largest relative error against the reference; for quantised models "
    "the root mean square (rms) too."
)


def _markdown_table(rows: Iterable[Result]) -> list[str]:
    lines = [" | ".join(_HEAD), "|".join([":--"] * 2 + ["--:"] * 7 + [":--"] * 2)]
    for result in rows:
        measurement, summary = result.measurement, result.summary
        correctness = measurement.correctness
        latencies = (summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.cold_start_ms)
        cells = [
            result.model,
            f"{result.device}, {result.setting}",
            *(format_ms(value).removesuffix(" ms") for value in latencies),
            format_bytes(measurement.peak_memory_bytes),
            format_bytes(measurement.package_size_bytes),
            format_factor(summary.real_time_factor),
            f"{'✓' if result.right else '✗'} {told_error(correctness)} "
            f"against {shown(correctness.reference)}",
            "; ".join(f"{shown(n)} {format_figure(v)}" for n, v in measurement.metrics.items())
            or NONE,
        ]
        lines.append(" | ".join(markdown_text(cell) for cell in cells))
    return [f"| {line} |" for line in lines]


def _markdown_real_time(result: Result, run: RealTime) -> list[str]:
    title = f"{result.model} in real time on {result.device}, {result.setting}"
    lines = real_time_lines(run, result.measurement.judged_windows)
    told = [(line.name, line.value, line.meaning) for line in lines]
    return markdown_section(title, ("Figure", "Value", "Meaning"), told)


def _markdown_peers(result: Result, beside: Beside) -> list[str]:
    told = []
    for row in peer_rows(beside):
        cells = (*row.cells, row.why) if row.why else row.cells
        told.append((*cells, *[NONE] * (len(PEER_HEAD) - len(cells))))
    title = f"{result.model} beside peers on {result.device}"
    return [*markdown_section(title, PEER_HEAD, told), "", PEER_HOW]


def _markdown_matrix(matrix: Matrix) -> list[str]:
    rows = [
        (model, *(NONE if one.p50_ms is None else format_ms(one.p50_ms) for one in cells))
        for model, cells in matrix.rows
    ]
    table = markdown_section("Models by boards", ("p50", *matrix.boards), rows)
    return [*table, "", "Of several settings the fastest that answers rightly."]


def _markdown_operators(result: Result) -> list[str]:
    found = operator_times(result.measurement)[:_MOST_OPERATORS]
    if not found:
        return []
    rows = [
        (
            told_nodes(one.nodes) if one.nodes else shown(one.name),
            f"{one.us:.4g} µs",
            f"{one.share:.0%}",
            NONE if one.gflops is None else f"{one.gflops:.3g}",
            NONE if one.of_bound is None else f"{one.of_bound:.0%} of what its {one.bound_by} can",
        )
        for one in found
    ]
    title = f"{result.model} by operators on {result.device}, {result.setting}"
    head = ("Slowest operators", "All calls of a run", "Share", "GFLOP/s", "Roofline")
    return ["", *markdown_section(title, head, rows)]


def _markdown_boards(found: Sequence[Result], background: Background) -> list[str]:
    head = ("Board", "Profile, CPU, system", "Governor", "Hottest", "INVALID windows", "Health")
    rows = [
        (one.board, one.facts, one.state, one.hottest, f"{one.windows} {one.why}", one.health)
        for one in board_rows(found, background.boards)
    ]
    return markdown_section("Boards", head, rows)


def render_markdown(
    measurements: Sequence[Measurement], background: Background = NO_BACKGROUND
) -> str:
    """Verdicts, tables, boards, operators and warnings as GitHub-flavoured Markdown.

    Raises:
        UsageError: no measurements.
    """
    found = results(measurements)
    lines = ["# edgetvm report", ""]
    lines += [
        f"- {verdict.mark}: **{markdown_text(verdict.model)}**: {markdown_text(verdict.sentence)}"
        for verdict in verdicts(found)
    ]
    real = [result for result in found if not result.emulated]
    emulated = [result for result in found if result.emulated]
    if real:
        lines += ["", "## Summary", "", *_markdown_table(real)]
    matrix = matrix_of(found)
    if matrix is not None:
        lines += ["", *_markdown_matrix(matrix)]
    if emulated:
        lines += ["", "## Emulated devices", "", "These times say nothing about a real board, and "]
        lines[-1] += "are not ranked."
        lines += ["", *_markdown_table(emulated)]
    lines += ["", _HOW]
    for result in found:
        if result.measurement.real_time is not None:
            lines += ["", *_markdown_real_time(result, result.measurement.real_time)]
        if result.measurement.beside is not None:
            lines += ["", *_markdown_peers(result, result.measurement.beside)]
        lines += _markdown_operators(result)
    lines += ["", *_markdown_boards(found, background)]
    parts = part_lines(measurements, background)
    if parts:
        lines += ["", "## Experiments", "", *(f"- {markdown_text(line)}" for line in parts)]
    warnings = warning_lines(measurements)
    if warnings:
        lines += ["", "## Warnings", "", *(f"- {markdown_text(line)}" for line in warnings)]
    return "\n".join(lines) + "\n"


def _csv_row(result: Result, background: Background) -> dict[str, object]:
    measurement, summary = result.measurement, result.summary
    environment = measurement.environment
    correctness, memory = measurement.correctness, measurement.memory
    return {
        "model": measurement.model,
        "device": environment.device,
        "emulated": environment.emulated,
        "profile": environment.profile,
        "opt_level": measurement.options.opt_level,
        "layout": measurement.options.layout,
        "precision": measurement.options.precision,
        "threads": environment.threads,
        "task": measurement.task,
        "scenario": measurement.scenario,
        "taken_at": measurement.taken_at,
        "runs": summary.count,
        "warmup_runs": measurement.warmup,
        "min_ms": summary.min_ms,
        "p50_ms": summary.p50_ms,
        "p90_ms": summary.p90_ms,
        "p99_ms": summary.p99_ms,
        "p99.9_ms": summary.p999_ms,
        "early_stopping_ms": summary.early_stopping_ms,
        "throughput_qps": summary.throughput_qps,
        "valid": not summary.invalid,
        "max_ms": summary.max_ms,
        "mean_ms": summary.mean_ms,
        "deadline_ms": measurement.deadline_ms,
        "deadline_misses": summary.deadline_misses,
        "chunk_ms": measurement.chunk_ms,
        "real_time_factor": summary.real_time_factor,
        "open_ms": measurement.open_ns / 1e6,
        "first_run_ms": measurement.first_run_ns / 1e6,
        "cold_start_ms": summary.cold_start_ms,
        "peak_memory_bytes": measurement.peak_memory_bytes,
        "peak_activation_bytes": memory.peak_activation_bytes if memory else None,
        "live_bytes_lower_bound": memory.live_bytes_lower_bound if memory else None,
        "package_size_bytes": measurement.package_size_bytes,
        "library_size_bytes": measurement.library_size_bytes,
        "correct": correctness.passed,
        "max_relative_error": correctness.max_relative_error,
        "rms_relative_error": correctness.rms_relative_error,
        "max_abs_error": correctness.max_abs_error,
        "tolerance": correctness.tolerance,
        "reference": correctness.reference,
        "cpu": environment.cpu,
        "governor": environment.governor,
        "package_sha256": measurement.package_sha256,
        "id": measurement.id,
        "part_of": background.part_of(measurement),
        "warnings": " | ".join(result.findings),
        **{f"metric_{name}": value for name, value in measurement.metrics.items()},
    }


def render_csv(measurements: Sequence[Measurement], background: Background = NO_BACKGROUND) -> str:
    """One row for each measurement, in full precision, with units in the header.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        UsageError: no measurements.
    """
    rows = [_csv_row(result, background) for result in results(measurements)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return file.getvalue()
