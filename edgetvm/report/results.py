"""Measurements with their figures, and the one order in which they are shown to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from edgetvm.base.errors import UsageError
from edgetvm.base.units import format_ms
from edgetvm.base.words import plural
from edgetvm.compile.options import DEFAULTS
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.real_time_figures import figures_of
from edgetvm.measure.rules import WITH_WAITING
from edgetvm.measure.statistics import Summary, summarise
from edgetvm.report.words import format_error, shown

_SAMPLES = {
    "stream": "chunk",
    "real-time": "chunk",
    "multi-stream": "query of 8 runs",
    "server": "query",
    "cold-start": "cold start",
}
# What models are measured in when nothing else is said: it has no name beside the model's.
_USUAL = ("single-stream", "stream", "real-time")
# Names stand in many places of a page, kernels' only once.
_LONGEST = 48
# A p99 so many times the p50 comes from other work, or from a clock that changes.
_UNSTEADY = 3.0


@dataclass(frozen=True)
class Result:
    """One measurement, ready to be shown.

    Attributes:
        model, device: as shown; an emulated device says so.
        findings: what speaks against the figures, each with its remedy, gravest first.
    """

    measurement: Measurement
    summary: Summary
    model: str
    device: str
    findings: tuple[str, ...]

    @property
    def emulated(self) -> bool:
        """Whether the times must not be compared with those of a real device."""
        return self.measurement.environment.emulated

    @property
    def right(self) -> bool:
        """Whether the answers are within the tolerance of the reference's."""
        return self.measurement.correctness.passed

    @property
    def run(self) -> str:
        """What one sample is the duration of."""
        return _SAMPLES.get(self.measurement.scenario, "run")

    @property
    def subject(self) -> tuple[str, str]:
        """Model and scenario: what can be compared among devices."""
        return self.measurement.model, self.measurement.scenario

    @property
    def invalid(self) -> bool:
        """Whether the rules of its scenario are not met, or its clock in real time was late."""
        run = self.measurement.real_time
        return bool(self.summary.invalid) or (run is not None and bool(figures_of(run).invalid))

    @property
    def threads(self) -> str:
        """`4 threads`."""
        return plural(self.measurement.environment.threads, "thread")

    @property
    def tuned(self) -> str:
        """`5 of 23 kernels tuned`; empty where none is."""
        kernels = self.measurement.kernels
        count = sum(one.schedule == "tuned" for one in kernels)
        return f"{count} of {plural(len(kernels), 'kernel')} tuned" if count else ""

    @property
    def setting(self) -> str:
        """`4 threads`, a server's rate, and what is unusual in how the model was compiled."""
        options, qps = self.measurement.options, self.measurement.target_qps
        unusual = "" if options == DEFAULTS else str(options)
        rate = "" if qps is None else f"{qps:.4g} queries/s"
        return ", ".join(one for one in (self.threads, rate, unusual, self.tuned) if one)

    @property
    def deadline(self) -> str:
        """How the samples stand to the deadline; an emulated device's say nothing about it."""
        misses, deadline_ms = self.summary.deadline_misses, self.measurement.deadline_ms
        if misses is None or deadline_ms is None:
            return "no deadline is set"
        if self.emulated:
            return f"{format_ms(deadline_ms)} deadline not judged under emulation"
        runs = plural(self.summary.count, self.run)
        if misses:
            return f"over its {format_ms(deadline_ms)} deadline in {misses} of {runs}"
        return f"within its {format_ms(deadline_ms)} deadline in all {runs}"

    @property
    def unsteady(self) -> bool:
        """Whether a real device's slowest runs are far from its usual ones."""
        return _is_unsteady(self.measurement, self.summary)

    @property
    def late(self) -> bool:
        """Whether a real device misses a deadline or falls behind the signal."""
        if self.emulated:
            return False
        factor = self.summary.real_time_factor
        return bool(self.summary.deadline_misses) or (factor is not None and factor >= 1)


def _is_unsteady(measurement: Measurement, summary: Summary) -> bool:
    """Of queries that wait for each other the slowest are far from the usual ones by nature."""
    if measurement.environment.emulated or measurement.scenario in WITH_WAITING:
        return False
    return summary.p99_ms > _UNSTEADY * summary.p50_ms


def _findings(measurement: Measurement, summary: Summary) -> tuple[str, ...]:
    correctness = measurement.correctness
    found = []
    if not correctness.passed:
        found.append(
            f"wrong answers: output {shown(correctness.worst_output)} is off by "
            f"{format_error(correctness.max_relative_error)} where "
            f"{format_error(correctness.tolerance)} is allowed: do not deploy it; "
            "compile it without tuned schedules and compare again"
        )
    if measurement.real_time is not None:
        invalid = figures_of(measurement.real_time).invalid
        found += [f"INVALID in real time: {reason}" for reason in invalid]
    factor = summary.real_time_factor
    if factor is not None and factor >= 1 and not measurement.environment.emulated:
        found.append(
            f"real-time factor {factor:.3g}: the device falls behind the signal; "
            "tune the model, use more threads or a faster device"
        )
    if _is_unsteady(measurement, summary) and not summary.disturbed:
        found.append(
            f"unsteady: p99 is {format_ms(summary.p99_ms)} where p50 is "
            f"{format_ms(summary.p50_ms)}; "
            "leave the device alone and measure again"
        )
    return (*found, *(shown(warning, 300) for warning in summary.warnings))


def results(measurements: Sequence[Measurement]) -> list[Result]:
    """Real devices before emulated ones; models as they come.

    The real devices of a model stand by their p50, those that answer wrongly last. Emulated ones
    stand as they come: their times rank nothing.

    Raises:
        UsageError: no measurements.
    """
    found = as_given(measurements)
    order = list(dict.fromkeys(one.subject for one in found))

    def rank(result: Result) -> tuple[bool, int, bool, float]:
        model = order.index(result.subject)
        if result.emulated:
            return True, model, False, 0.0
        return False, model, not result.right, result.summary.p50_ms

    return sorted(found, key=rank)


def as_given(measurements: Sequence[Measurement]) -> list[Result]:
    """In the order of the measurements: for programs, which know what they asked for.

    Raises:
        UsageError: no measurements.
    """
    if not measurements:
        raise UsageError("there is nothing to report", mend="run: edgetvm bench MODEL")

    def key(measurement: Measurement) -> tuple[object, ...]:
        place, options, tuned = measurement.environment, measurement.options, measurement.is_tuned
        where = place.device, place.emulated, place.threads
        return measurement.model, measurement.scenario, *where, options, tuned

    times = Counter(key(measurement) for measurement in measurements)
    found = []
    for measurement in measurements:
        summary = summarise(measurement)
        device = shown(measurement.environment.device, _LONGEST)
        if times[key(measurement)] > 1:
            device += f" at {shown(measurement.taken_at)}"
        if measurement.environment.emulated:
            device += " (emulated)"
        findings = _findings(measurement, summary)
        found.append(Result(measurement, summary, _named(measurement), device, findings))
    return found


def _named(measurement: Measurement) -> str:
    name = shown(measurement.model, _LONGEST)
    usual = measurement.scenario in _USUAL
    return name if usual else f"{name} ({measurement.scenario})"


def by_model(found: Sequence[Result]) -> list[list[Result]]:
    """The results of each model in each scenario together, in the order of `found`."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in found:
        groups.setdefault(result.subject, []).append(result)
    return list(groups.values())
