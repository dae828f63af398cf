"""One measurement as a page shows it: drawings, facts, and rows of its tables."""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural
from edgetvm.measure.measurement import Environment, Measurement
from edgetvm.measure.operators import operator_times
from edgetvm.measure.samples import spaced
from edgetvm.measure.windows import valid_samples
from edgetvm.report import charts
from edgetvm.report.background import Background
from edgetvm.report.conditions import course_of, energy_told, looks_told, windows_told
from edgetvm.report.operators import operator_bars, operator_roofline
from edgetvm.report.peers import PeerRow, peer_rows
from edgetvm.report.real_time import Line, real_time_lines
from edgetvm.report.results import Result
from edgetvm.report.streams import latencies, worst_chunks
from edgetvm.report.words import shown

# Of more samples so many are drawn, evenly spaced.
_MOST_DRAWN = 100_000
# More classes cannot be read; JSON has all.
_MOST_CLASSES = 40
_CONFUSED = 5


@dataclass(frozen=True)
class Detail:
    """How much a page tells of each measurement.

    Attributes:
        rows: of kernels, layers and steps.
        marks: of samples over time.
        points: of a distribution.
        operators: drawn by themselves.
        days: of its history.
        is_full: whether sizes are drawn too, and operators under the board's roof; and right
            answers told of in full.
        classes: of a matrix of confusion, at most.
    """

    rows: int
    marks: int
    points: int
    operators: int
    days: int
    is_full: bool
    classes: int


DETAILS = (
    Detail(30, charts.MOST_MARKS, charts.MOST_POINTS, 14, 20, True, _MOST_CLASSES),
    Detail(20, 150, 100, 10, 20, True, 24),
    Detail(8, 100, 100, 8, 20, True, 12),
    Detail(0, 80, 100, 6, 12, False, 12),
    Detail(0, 50, 100, 5, 10, False, 12),
    Detail(0, 50, 60, 4, 8, False, 0),
    Detail(0, 40, 30, 3, 8, False, 0),
)


@dataclass(frozen=True)
class Drawings:
    """The SVG texts of one measurement; empty where there is nothing to draw."""

    distribution: str
    samples: str
    sizes: str
    operators: str
    roofline: str
    stream: str
    latencies: str
    confusion: str
    track: str
    history: str


@dataclass(frozen=True)
class Section:
    """One measurement as the template reads it.

    Attributes:
        samples_per_mark: consecutive samples in one mark of the samples over time.
        drawn_every: of very many samples only every so many are drawn.
        real_time: figures of a run in real time; empty for others.
        peers: rows of those timed beside it; likewise.
        confused: classes that were taken for others most often.
        days: measurements in its history.
    """

    anchor: str
    result: Result
    drawings: Drawings
    facts: list[tuple[str, str]]
    samples_per_mark: int
    drawn_every: int
    real_time: list[Line]
    peers: list[PeerRow]
    confused: list[str]
    days: int

    @property
    def kernels_told(self) -> str:
        """`12 kernels: 10 tuned, 2 default`."""
        kernels = self.result.measurement.kernels
        kinds = Counter(kernel.schedule for kernel in kernels).most_common()
        told = ", ".join(f"{count} {kind}" for kind, count in kinds)
        return plural(len(kernels), "kernel") + (f": {told}" if told else "")


def section_of(
    anchor: str, result: Result, usual: Environment, background: Background, detail: Detail
) -> Section:
    """All that a page tells of one measurement.

    Args:
        usual: of the board, which the page tells elsewhere.
    """
    measurement = result.measurement
    course = course_of(measurement, result.run, _MOST_DRAWN)
    days = _days(measurement, background)[-detail.days :]
    run = measurement.real_time
    every = -(-len(measurement.samples_ns) // _MOST_DRAWN)
    return Section(
        anchor,
        result,
        _drawings(result, course, days, detail),
        _facts(measurement, usual, background.part_of(measurement)),
        charts.samples_per_mark(len(course.samples_ms), detail.marks) * every,
        every,
        real_time_lines(run, measurement.judged_windows) if run is not None else [],
        peer_rows(measurement.beside) if measurement.beside is not None else [],
        _confused(measurement),
        len(days),
    )


def _drawings(
    result: Result, course: charts.Course, days: Sequence[charts.Day], detail: Detail
) -> Drawings:
    measurement, run = result.measurement, result.measurement.real_time
    operators = operator_times(measurement)
    return Drawings(
        _distribution(result, detail.points),
        _samples(result, course, detail.marks),
        _sizes(measurement) if detail.is_full else "",
        operator_bars(operators, detail.operators) if operators else "",
        operator_roofline(measurement, 2 * detail.operators) if detail.is_full else "",
        worst_chunks(run) if run is not None else "",
        latencies(run, detail.marks) if run is not None else "",
        _confusion(measurement, detail.classes),
        _track(measurement),
        charts.history(days, f"p50 of {len(days)} measurements") if len(days) > 1 else "",
    )


def _distribution(result: Result, points: int) -> str:
    measurement, summary = result.measurement, result.summary
    samples = valid_samples(measurement.samples_ns, measurement.judged_windows)
    drawn = spaced(samples if len(samples) else measurement.samples_ns, _MOST_DRAWN)
    values_ms = {0.5: summary.p50_ms, 0.9: summary.p90_ms, 0.99: summary.p99_ms}
    share, most_ms = summary.early_stopping_percentile, summary.early_stopping_ms
    at_most = None if share is None or most_ms is None else (share, most_ms)
    marks = charts.percentiles_of(values_ms, summary.bounds_ms, at_most)
    told = ", ".join(one.told for one in marks)
    return charts.distribution(
        [sample / 1e6 for sample in drawn],
        marks,
        f"Distribution of the latencies: {told}",
        result.run,
        points,
    )


def _samples(result: Result, course: charts.Course, marks: int) -> str:
    summary = result.summary
    deadline_ms = None if result.emulated else result.measurement.deadline_ms
    ends = f"from {format_ms(summary.min_ms)} to {format_ms(summary.max_ms)}"
    return charts.over_time(course, deadline_ms, f"Latencies over time, {ends}", marks)


def _sizes(measurement: Measurement) -> str:
    sizes = {"peak memory": measurement.peak_memory_bytes}
    if measurement.memory is not None:
        sizes["activations in it"] = measurement.memory.peak_activation_bytes
    sizes["package file"] = measurement.package_size_bytes
    sizes["library in it"] = measurement.library_size_bytes
    rows = [charts.Bar(name, float(size), format_bytes(size)) for name, size in sizes.items()]
    return charts.bars(rows, "Memory and sizes", 140)


def _confusion(measurement: Measurement, most: int) -> str:
    found = measurement.confusion
    if found is None or len(found.classes) > most:
        return ""
    total = sum(map(sum, found.counts))
    right = sum(found.counts[at][at] for at in range(len(found.classes)))
    title = f"{right} of {total} as they are labelled, {len(found.classes)} classes"
    return charts.confusion_matrix(found.classes, found.counts, title)


def _track(measurement: Measurement) -> str:
    found = measurement.track
    if found is None:
        return ""
    title = f"The last of {len(found.labels)} numbers, and what was predicted of each"
    return charts.track(found.labels, found.values, title)


def _confused(measurement: Measurement) -> list[str]:
    found = measurement.confusion
    if found is None:
        return []
    pairs = [
        (count, label, found.classes[column], sum(found.counts[row]))
        for row, label in enumerate(found.classes)
        for column, count in enumerate(found.counts[row])
        if row != column and count
    ]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:_CONFUSED]
    return [
        f"{shown(label, 40)} taken for {shown(other, 40)}: {count} of {total}"
        for count, label, other, total in worst
    ]


def _days(measurement: Measurement, background: Background) -> list[charts.Day]:
    found = {past.id: past for past in background.history if past.is_of(measurement)}
    days = [
        charts.Day(at_s, past.p50_ms, past.p90_ms, past.valid)
        for past in found.values()
        if (at_s := _seconds(past.taken_at)) is not None
    ]
    return sorted(days, key=lambda day: day.at_s)


def _seconds(taken_at: str) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(taken_at[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return None


def _facts(measurement: Measurement, usual: Environment, part_of: str) -> list[tuple[str, str]]:
    """What it was measured in: of the board's own only what is not as usual."""
    place = measurement.environment
    facts = [
        *([("Part of", part_of)] if part_of else []),
        ("Compiled with", f"{measurement.options} ({measurement.options.level.title})"),
        ("Threads", f"{place.threads} of {plural(place.cores, 'core')}"),
        ("Clock governor", place.governor or "the kernel shows none"),
        ("Load before the first run", f"{place.load_average:.2f} (one-minute average)"),
        ("Windows", windows_told(measurement) or "nobody looked at the board meanwhile"),
        *((f"Meanwhile: {name}", told) for name, told in looks_told(measurement).items()),
        ("Energy", energy_told(measurement) or "no meter"),
        ("Taken at", measurement.taken_at),
        ("Measurement", measurement.id),
        ("Package SHA-256", measurement.package_sha256),
    ]
    same = dict(_board_facts(usual))
    facts += [(name, told) for name, told in _board_facts(place) if same.get(name) != told]
    return [(shown(name), shown(told, 120)) for name, told in facts]


def _board_facts(place: Environment) -> list[tuple[str, str]]:
    """What is mostly the same in all measurements of a board."""
    return [
        ("Profile", place.profile),
        ("CPU", place.cpu),
        ("System", f"{place.machine}, Linux {place.kernel}"),
        *((f"Version of {name}", version) for name, version in place.versions.items()),
    ]
