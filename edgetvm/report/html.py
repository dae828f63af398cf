"""The report as one HTML file that loads nothing: for a browser, a mail or an archive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetvm.base.units import format_bytes, format_duration, format_ms
from edgetvm.base.words import plural, told_nodes
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.samples import spaced
from edgetvm.report import svg
from edgetvm.report.layers import LAYER_HOW
from edgetvm.report.peers import PEER_HEAD, PEER_HOW, PeerRow, peer_rows
from edgetvm.report.real_time import Line, real_time_lines
from edgetvm.report.results import Result, by_model, results
from edgetvm.report.verdict import verdicts
from edgetvm.report.words import format_error, format_factor, format_figure, shown, told_error

if TYPE_CHECKING:
    from jinja2 import Environment

# A page small enough for a mail tells of each measurement as much as fits, the first of these best:
# how many kernels and steps, and how many marks of the sample plot.
_DETAILS = ((30, svg.MOST_DOTS), (20, 150), (12, 80), (2, 40))
_MOST_BYTES = 490_000
# A wider table of who was taken for whom cannot be read; JSON has all.
_MOST_CLASSES = 40
# Of more samples so many are drawn, evenly spaced.
_MOST_DRAWN = 100_000
_SCENARIOS = {
    "single-stream": "the same input, back to back",
    "multi-stream": "queries of 8 runs of the same input, back to back",
    "offline": "the same input, back to back",
    "server": "the same input, queries at random as to a server, waiting included",
    "cold-start": "the package opened anew each time, and its first run",
    "stream": "chunks of a signal, back to back, the state carried",
    "real-time": "service times of chunks at the pace of their signal, the state carried",
}
_ERROR = re.compile(r"\d\.\de-\d+")


@dataclass(frozen=True)
class Drawings:
    """The SVG texts of one measurement; `steps` is empty where none were recorded."""

    histogram: str
    samples: str
    cold_start: str
    sizes: str
    steps: str


def _drawings(result: Result, rows: int, dots: int) -> Drawings:
    measurement, summary = result.measurement, result.summary
    samples_ms = [sample / 1e6 for sample in spaced(measurement.samples_ns, _MOST_DRAWN)]
    percentiles = {"p50": summary.p50_ms, "p90": summary.p90_ms, "p99": summary.p99_ms}
    told = ", ".join(f"{name} {format_ms(value)}" for name, value in percentiles.items())
    open_ms, first_ms = measurement.open_ns / 1e6, measurement.first_run_ns / 1e6
    sizes = [
        ("peak memory", measurement.peak_memory_bytes),
        ("package file", measurement.package_size_bytes),
        ("library in it", measurement.library_size_bytes),
    ]
    if measurement.memory is not None:
        sizes.insert(1, ("activations in it", measurement.memory.peak_activation_bytes))
    steps = [
        (f"{step.title} ({step.detail})" if step.detail else step.title, step.elapsed_s)
        for step in measurement.steps[:rows]
    ]
    return Drawings(
        svg.histogram(
            samples_ms, percentiles, f"Distribution of the latencies: {told}", result.run
        ),
        svg.sample_plot(
            samples_ms,
            None if result.emulated else measurement.deadline_ms,
            f"Latencies in the order taken, from {format_ms(summary.min_ms)} to "
            f"{format_ms(summary.max_ms)}",
            result.run,
            dots,
        ),
        svg.bars(
            [
                ("open", open_ms, format_ms(open_ms)),
                ("first run", first_ms, format_ms(first_ms)),
                ("later runs (p50)", summary.p50_ms, format_ms(summary.p50_ms)),
            ],
            "Cold start",
        ),
        svg.bars(
            [(name, float(size), format_bytes(size)) for name, size in sizes],
            "Memory and sizes",
        ),
        svg.timeline(steps, "Steps before the measurement") if steps else "",
    )


@dataclass(frozen=True)
class Section:
    """One measurement as the template reads it.

    Attributes:
        runs_per_mark: consecutive samples in one mark of the sample plot.
        real_time: figures of a run in real time; empty for others.
        peers: rows of those timed beside it; likewise.
    """

    anchor: str
    result: Result
    drawings: Drawings
    facts: list[tuple[str, str]]
    runs_per_mark: int
    real_time: list[Line]
    peers: list[PeerRow]

    @property
    def kernels_told(self) -> str:
        """`12 kernels: 10 tuned, 2 default`."""
        kernels = self.result.measurement.kernels
        kinds = Counter(kernel.schedule for kernel in kernels).most_common()
        told = ", ".join(f"{count} {kind}" for kind, count in kinds)
        return plural(len(kernels), "kernel") + (f": {told}" if told else "")


def _facts(measurement: Measurement) -> list[tuple[str, str]]:
    place = measurement.environment
    facts = [
        ("Board profile", place.profile + (" (emulated)" if place.emulated else "")),
        ("Compiled with", f"{measurement.options} ({measurement.options.level.title})"),
        ("CPU", place.cpu),
        ("Machine, kernel", f"{place.machine}, {place.kernel}"),
        ("Threads", f"{place.threads} of {plural(place.cores, 'core')}"),
        ("Clock governor", place.governor or "the kernel shows none"),
        ("Load before the first run", f"{place.load_average:.2f} (one-minute average)"),
        ("Taken at", measurement.taken_at),
        ("Measurement", measurement.id),
        ("Package SHA-256", measurement.package_sha256),
    ]
    facts += [(f"Version of {shown(name)}", text) for name, text in place.versions.items()]
    return [(name, shown(text)) for name, text in facts]


def _unbroken(text: str) -> str:
    """`text` with its errors held together: browsers break `1.2e-06` at the hyphen."""
    from markupsafe import Markup, escape

    return Markup(_ERROR.sub(r'<span class="n">\g<0></span>', str(escape(text))))  # noqa: S704


def environment() -> Environment:
    """Templates of reports, with the words and figures that they may use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    jinja = Environment(
        loader=PackageLoader("edgetvm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "ms": format_ms,
        "bytes": format_bytes,
        "duration": format_duration,
        "error": format_error,
        "told_error": told_error,
        "factor": format_factor,
        "figure": format_figure,
        "shown": shown,
        "plural": plural,
        "nodes": told_nodes,
        "unbroken": _unbroken,
        # Only for the drawings of svg.py, which escapes what it is given.
        "drawing": Markup,
    }
    return jinja


def _page(found: Sequence[Result], title: str, rows: int, dots: int) -> str:
    sections = [
        Section(
            f"m{number}",
            result,
            _drawings(result, rows, dots),
            _facts(result.measurement),
            svg.runs_per_mark(result.summary.count, dots),
            real_time_lines(run, result.measurement.judged_windows)
            if (run := result.measurement.real_time)
            else [],
            peer_rows(beside) if (beside := result.measurement.beside) else [],
        )
        for number, result in enumerate(found, start=1)
    ]
    of_result = {id(section.result): section for section in sections}
    groups = [[of_result[id(result)] for result in group] for group in by_model(found)]
    times = sorted(shown(result.measurement.taken_at) for result in found)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            title=shown(title, 200),
            taken=list(dict.fromkeys([times[0], times[-1]])),
            models=list(zip(verdicts(found), groups, strict=True)),
            real=[section for section in sections if not section.result.emulated],
            emulated=[section for section in sections if section.result.emulated],
            most_rows=rows,
            told_scenarios=_SCENARIOS,
            most_classes=_MOST_CLASSES,
            layer_how=LAYER_HOW,
            peer_head=PEER_HEAD,
            peer_how=PEER_HOW,
        )
    )


def render_html(measurements: Sequence[Measurement], title: str = "edgetvm report") -> str:
    """Verdicts, summary and one section for each model, as one self-contained page.

    Raises:
        UsageError: no measurements.
    """
    found = results(measurements)
    page = ""
    for rows, dots in _DETAILS:
        page = _page(found, title, rows, dots)
        if len(page.encode()) < _MOST_BYTES:
            break
    return page
