"""The summary as a table for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.units import format_bytes, format_ms
from edgetvm.measure.measurement import Measurement
from edgetvm.report.background import Background
from edgetvm.report.results import Result, results
from edgetvm.report.words import NONE, format_factor, format_figure, shown, told_error

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_CAPTION = (
    "p50, p90, p99: of all timed runs (chunks, for a stream), after the warm-up. "
    "Cold start: open plus first run. RTF: real-time factor, mean time of a chunk by its duration. "
    "Memory: peak beyond the bare server. Emulated times say nothing about a "
    "real board. ✓ ✗: largest relative error against the reference; for quantised models the root "
    "mean square too."
)
_LONGEST_WHY = 160
_EMULATED = "Emulated, unranked"


def _bare_ms(value_ms: float) -> str:
    return format_ms(value_ms).removesuffix(" ms")


def titled_table(title: str, how: str | None = None, *, head: bool = True) -> Table:
    """An empty table for a terminal, with what its figures are in small print below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        caption=None if how is None else Text(how),
        caption_justify="left",
        caption_style="dim",
        box=box.HORIZONTALS,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_header=head,
    )


def _name_cell(result: Result) -> Text:
    from rich.text import Text

    return Text.assemble((result.model, "bold"), f"\n{result.device}, ", result.setting)


def _correctness_cell(result: Result) -> Text:
    from rich.text import Text

    correctness = result.measurement.correctness
    mark, style = ("✓", "green") if result.right else ("✗", "bold red")
    cell = Text.assemble(
        (f"{mark} {told_error(correctness)}", style),
        f"\n{shown(correctness.reference)}",
    )
    for name, value in result.measurement.metrics.items():
        cell.append(f"\n{shown(name)} {format_figure(value)}")
    misses = result.summary.deadline_misses
    if misses is not None and not result.emulated:
        deadline = f"\ndeadline {format_ms(result.measurement.deadline_ms or 0)} "
        kept = "not judged: INVALID" if result.invalid else "✓"
        told = f"✗ {misses} of {result.summary.count} late" if misses else kept
        cell.append(deadline + told, style="yellow" if misses else "")
    return cell


def _add_rows(table: Table, rows: Iterable[Result]) -> None:
    for index, result in enumerate(rows):
        if index:
            table.add_row()
        summary, measurement = result.summary, result.measurement
        table.add_row(
            _name_cell(result),
            *(_bare_ms(value) for value in (summary.p50_ms, summary.p90_ms, summary.p99_ms)),
            f"{_bare_ms(summary.cold_start_ms)}\n{format_factor(summary.real_time_factor)}",
            f"{format_bytes(measurement.peak_memory_bytes)}\n"
            f"{format_bytes(measurement.package_size_bytes)}",
            _correctness_cell(result),
        )


def _add_failures(table: Table, failures: Mapping[str, EdgetvmError]) -> None:
    from rich.text import Text

    for name, error in failures.items():
        table.add_row()
        why = Text.assemble(("✗ not measured", "bold red"), f"\n{shown(error.what, _LONGEST_WHY)}")
        table.add_row(Text(shown(name), style="bold"), *[NONE] * 5, why)


def summary_table(
    measurements: Sequence[Measurement], failures: Mapping[str, EdgetvmError] | None = None
) -> Table:
    """One row for each measurement; emulated devices stand in a section of their own.

    Args:
        measurements: at least one.
        failures: why others could not be measured, by the model's name.

    Raises:
        UsageError: no measurements.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = results(measurements)
    table = Table(
        box=box.HORIZONTALS,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption=Text(_CAPTION),
        caption_justify="left",
        caption_style="dim",
    )
    table.add_column("Model\nDevice", ratio=1, min_width=14, overflow="fold")
    for name in ("p50", "p90", "p99"):
        table.add_column(f"{name}\nms", justify="right", no_wrap=True)
    table.add_column("Cold ms\nRTF", justify="right", no_wrap=True)
    table.add_column("Memory\nPackage", justify="right", no_wrap=True)
    table.add_column("Correctness\nMetrics", ratio=1, min_width=15, overflow="fold")
    _add_rows(table, (result for result in found if not result.emulated))
    emulated = [result for result in found if result.emulated]
    if emulated:
        table.add_section()
        table.add_row(Text(_EMULATED, style="italic yellow"))
        table.add_row()
        _add_rows(table, emulated)
    _add_failures(table, failures or {})
    return table


def part_lines(measurements: Sequence[Measurement], background: Background) -> list[str]:
    """The experiments that measurements are of: each once, with its variants."""
    ids = {one.id for one in measurements}
    found: dict[str, list[str]] = {}
    for part in background.experiments:
        if part.measurement in ids:
            told = f"{shown(part.variant)} ({part.measurement})"
            found.setdefault(part.experiment, []).append(told)
    return [f"of experiment {shown(name)}: {'; '.join(of)}" for name, of in found.items()]


def warning_lines(measurements: Sequence[Measurement]) -> list[str]:
    """What speaks against the figures: each sentence once, with every model and device it is about.

    Raises:
        UsageError: no measurements.
    """
    about: dict[str, dict[str, None]] = {}
    for result in results(measurements):
        for finding in result.findings:
            about.setdefault(finding, {})[f"{result.model} on {result.device}"] = None
    return [f"{', '.join(subjects)}: {finding}" for finding, subjects in about.items()]
