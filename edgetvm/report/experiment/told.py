"""An experiment in words: verdicts, groups of rows and their cells, as all formats show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edgetvm.base.units import format_bytes, format_ms
from edgetvm.base.words import plural
from edgetvm.measure.experiment.answers import Answer, answers
from edgetvm.measure.experiment.goals import front, judged, meeting, meets_all, ranked
from edgetvm.measure.experiment.rows import Results, Row, State, of_state
from edgetvm.measure.experiment.variants import varying
from edgetvm.recipes import Confusion
from edgetvm.report.words import NONE, format_figure, joined, shown

HEAD = ("Variant", "p50", "Rounds", "Beside the baseline", "Accuracy", "Deployed", "Memory")
HOW = (
    "p50: median of the turns' medians. Rounds: the least and the most of them. Beside the "
    "baseline: ratio of medians of the same round, which drift hits alike; their median, least and "
    "most. Deployed: the package; of another runtime, the file that it reads. Memory: peak beyond "
    "the bare server. On the front: no other is faster, smaller and more accurate at once."
)
_LONGEST_WHY = 300
Mark = Literal["good", "attention", "wrong"]
_APART: tuple[tuple[str, tuple[State, ...]], ...] = (
    (
        "No real board: answers are an emulated board's, times are estimated, and none is ranked",
        ("emulated", "estimated"),
    ),
    ("Compiled only", ("compiled",)),
    ("Failed", ("failed",)),
    ("Left out", ("left out",)),
)


@dataclass(frozen=True)
class Verdict:
    """A sentence that a reader wants first."""

    state: Mark
    sentence: str

    @property
    def mark(self) -> str:
        """The state as a sign and a word."""
        return {"good": "✓ good", "attention": "! attention", "wrong": "✗ wrong"}[self.state]


@dataclass(frozen=True)
class Line:
    """A row as words.

    Attributes:
        cells: as `HEAD` names them.
        notes: what else is to be said of it.
        best: whether none beats it.
    """

    row: Row
    cells: tuple[str, ...]
    notes: tuple[str, ...] = ()
    best: bool = False


class Told:
    """The words of an experiment."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self._axes = varying(results.experiment.variants)

    def name(self, row: Row) -> str:
        """A row by what differs among the variants."""
        if row.peer:
            return shown(f"{row.peer}, {row.variant.told(('model', 'threads'))}", 80)
        return shown(row.variant.told(self._axes), 80)

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """To its questions."""
        return answers(self.results)

    @cached_property
    def front(self) -> list[Row]:
        """What none beats."""
        return front(self.results)

    @cached_property
    def groups(self) -> list[tuple[str, list[Line]]]:
        """What was measured, the best first, then what cannot be ranked with it."""
        groups = [("", [self._line(row) for row in ranked(self.results)])]
        for title, states in _APART:
            rows = of_state(self.results.rows, *states)
            groups.append((title, [self._line(row) for row in rows]))
        return [(title, lines) for title, lines in groups if lines]

    def _line(self, row: Row) -> Line:
        cells = (
            self.name(row),
            self._time(row),
            self._span(row),
            self._ratio(row),
            self._accuracy(row),
            NONE if row.size_bytes is None else format_bytes(row.size_bytes),
            NONE if row.memory_bytes is None else format_bytes(row.memory_bytes),
        )
        return Line(row, cells, tuple(self._notes(row)), any(row is one for one in self.front))

    def _time(self, row: Row) -> str:
        if row.state == "measured" and row.p50_ms is not None:
            return format_ms(row.p50_ms)
        return f"about {format_ms(row.estimated.ms)}" if row.estimated is not None else NONE

    def _span(self, row: Row) -> str:
        if row.state == "measured":
            medians = [one.median_ms for one in row.rounds]
            return f"{format_ms(min(medians)).removesuffix(' ms')} to {format_ms(max(medians))}"
        if row.estimated is None:
            return NONE
        least_ms, most_ms = row.estimated.least_ms, row.estimated.most_ms
        if math.isinf(most_ms):
            return f"at least {format_ms(least_ms)}"
        return f"{format_ms(least_ms).removesuffix(' ms')} to {format_ms(most_ms)}"

    def _ratio(self, row: Row) -> str:
        found = self.results.relative(row)
        if found is None:
            return NONE
        if row is self.results.baseline:
            return "1"
        return f"{found.middle:.3g} ({found.least:.3g} to {found.most:.3g})"

    def _accuracy(self, row: Row) -> str:
        value = row.metrics.get(self.results.accuracy)
        return NONE if value is None else format_figure(value)

    def _notes(self, row: Row) -> list[str]:
        found = [shown(row.why, _LONGEST_WHY)] if row.why else []
        correctness = row.correctness
        if not row.is_right and correctness is not None:
            found.append(f"✗ wrong answers, against {shown(correctness.reference)}")
        if any(row is one for one in self.front):
            found.append("on the front")
        lost = ", ".join(f"{shown(name)} ({shown(why)})" for name, why in row.lost.items())
        if lost and not row.failed:
            found.append(f"without settings that were lost: {lost}")
        return found if row.peer else [*found, *self._goals(row)]

    def _goals(self, row: Row) -> list[str]:
        if meets_all(self.results, row):
            return ["✓ meets all goals"]
        missed = [one for one in judged(self.results, row) if one.met is False]
        return [f"goal missed: {one.limit} (it is {one.value})" for one in missed]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The best, and what went wrong."""
        found = [self._best() if self.results.experiment.goals is None else self._searched()]
        rows = self.results.rows
        kinds: tuple[tuple[Mark, str, list[Row]], ...] = (
            ("wrong", "answered wrongly", [row for row in rows if not row.is_right]),
            ("attention", "failed; their rows say why", of_state(rows, "failed")),
        )
        faster = self._faster_peers()
        if faster:
            names = names_told([f"{self.name(row)} ({self._time(row)})" for row in faster], 3)
            found.append(Verdict("attention", f"Faster than all variants: {names}."))
        for state, told, some in kinds:
            if some:
                names = names_told([self.name(row) for row in some], 3)
                found.append(Verdict(state, f"{plural(len(some), 'variant')} {told}: {names}."))
        return found

    def _faster_peers(self) -> list[Row]:
        """Other runtimes that are faster than the fastest right variant."""
        rows = [row for row in ranked(self.results) if row.is_right]
        least = min((row.p50_ms or 0.0 for row in rows if not row.peer), default=math.inf)
        return [row for row in rows if row.peer and (row.p50_ms or 0.0) < least]

    def _best(self) -> Verdict:
        rows = [row for row in ranked(self.results) if row.is_right and not row.peer]
        if not rows:
            return Verdict("attention", "Nothing was measured on a real board.")
        return Verdict("good", f"The fastest is {self._praised(rows[0])}.")

    def _searched(self) -> Verdict:
        found = meeting(self.results)
        if found:
            best = next(row for row in ranked(self.results) if any(row is one for one in found))
            count = plural(len(found), "variant")
            verb = "meets" if len(found) == 1 else "meet"
            return Verdict("good", f"{count} {verb} all goals, first {self._praised(best)}.")
        rows = [row for row in ranked(self.results) if row is not self.results.baseline]
        if not rows:
            return Verdict("attention", "No variant meets all goals.")
        missed = [one for one in judged(self.results, rows[0]) if not one.met]
        misses = joined([f"{one.limit} (it is {one.value or 'unknown'})" for one in missed])
        nearest = f"Nearest is {self._praised(rows[0])}; missed: {misses}."
        return Verdict("attention", f"No variant meets all goals. {nearest}")

    def _praised(self, row: Row) -> str:
        ratio = self.results.relative(row)
        parts = [f"{self.name(row)}: {self._time(row)}"]
        if ratio is not None and row is not self.results.baseline:
            parts.append(f"{ratio.middle:.3g} times the baseline's time")
        accuracy = row.metrics.get(self.results.accuracy)
        if accuracy is not None:
            parts.append(f"{self.results.accuracy} {format_figure(accuracy)}")
        if row.size_bytes is not None:
            parts.append(format_bytes(row.size_bytes))
        return ", ".join(parts)

    @cached_property
    def remarks(self) -> list[tuple[str, list[str]]]:
        """The compiler's: each once, with all variants that it is of."""
        found: dict[str, list[str]] = {}
        for row in self.results.rows:
            changes = row.built.changes if row.built is not None else ()
            for one in (*row.remarks, *(f"importing: {change}" for change in changes)):
                found.setdefault(one, []).append(self.name(row))
        return list(found.items())

    @cached_property
    def confusions(self) -> list[tuple[Confusion, list[str]]]:
        """Each matrix once, with all that answer so."""
        found: dict[Confusion, list[str]] = {}
        for row in self.results.rows:
            if row.confusion is not None:
                found.setdefault(row.confusion, []).append(self.name(row))
        return list(found.items())

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """Where and how it was measured."""
        how = self.results.experiment.measure
        turn = f"{plural(how.runs, 'run')} in a fresh process, {how.max_s:g} s at most"
        measured = f"{plural(how.rounds, 'round')}; a turn is {turn}"
        facts = [("Experiment", self.results.experiment.name), ("Measured", measured)]
        facts.append(("Baseline", self.results.baseline.variant.name))
        facts += [*self._samples(), *self._places()]
        return [(name, shown(text, 300)) for name, text in facts]

    def _samples(self) -> list[tuple[str, str]]:
        """How much data the accuracy is of."""
        counts = {
            row.measurement.correctness.samples
            for row in self.results.rows
            if row.measurement is not None and self.results.accuracy in row.metrics
        }
        return [
            (
                "Accuracy",
                f"{self.results.accuracy} of {plural(count, 'sample')}: one is {1 / count:.2%}",
            )
            for count in sorted(counts)
        ]

    def _places(self) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for row in self.results.rows:
            if row.measurement is not None:
                place = row.measurement.environment
                found.setdefault(
                    f"Board {place.device}",
                    f"{place.cpu}, {plural(place.cores, 'core')}, {place.machine}, {place.kernel}, "
                    f"governor {place.governor or 'unknown'}, load {place.load_average:.1f} before "
                    f"the first run, taken {row.measurement.taken_at}",
                )
        return list(found.items())


def names_told(names: Sequence[str], most: int = 6) -> str:
    """Some of many names."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return "; ".join([*names[:most], *more])
