"""What came of each variant of an experiment, and the figures that two of them give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from pydantic.dataclasses import dataclass as checked_dataclass

from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.variants import Variant
from edgetvm.measure.measurement import Measurement
from edgetvm.models.correctness import Correctness, JsonFloat
from edgetvm.recipes.accuracy import Confusion
from edgetvm.recipes.metrics import lost_pct

State = Literal["measured", "emulated", "estimated", "compiled", "failed", "left out"]


@checked_dataclass(frozen=True)
class Built:
    """A package of a variant.

    Attributes:
        package_size_bytes, library_size_bytes: of the file, and of the compiled model in it.
        correctness: against the reference, before it was packaged.
        remarks: see `edgetvm.measure.experiment.remarks`.
        changes: that the importer made, one sentence each.
    """

    package_sha256: str
    package_size_bytes: int
    library_size_bytes: int
    correctness: Correctness | None
    remarks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


@checked_dataclass(frozen=True)
class Estimated:
    """A latency that nobody measured, and its range."""

    ms: float
    least_ms: float
    most_ms: JsonFloat


@checked_dataclass(frozen=True)
class Scored:
    """A model's own runtime on the recipe's data.

    Attributes:
        runtime: its name and version.
        model_size_bytes: of the file that it reads.
    """

    runtime: str
    model_size_bytes: int
    metrics: Mapping[str, float]
    confusion: Confusion | None = None


@dataclass(frozen=True)
class Round:
    """A turn of one variant.

    Attributes:
        session: that it was taken in; turns of the same number and session are neighbours in time.
        median_ms: of its runs.
    """

    session: str
    turn: int
    median_ms: float

    @property
    def when(self) -> tuple[str, int]:
        """Of which round of which session it is."""
        return self.session, self.turn


@dataclass(frozen=True)
class Row:
    """One variant, or a peer in the place of edgetvm.

    Attributes:
        board: that it ran on; empty where it ran on none.
        emulated: whether its times say nothing about a real board.
        peer: name and version of another runtime; empty for edgetvm.
        built: None where it was not.
        measurement: with the recipe's data; None where it did not run.
        rounds: its turns, in order.
        estimated: where it could not be measured.
        scored: of a peer.
        lost: its settings that had no more turns, and why.
        why: nothing, or not all, came of it; empty where all did.
        failed: whether that is a failure.
    """

    variant: Variant
    board: str = ""
    emulated: bool = False
    peer: str = ""
    built: Built | None = None
    measurement: Measurement | None = None
    rounds: tuple[Round, ...] = ()
    estimated: Estimated | None = None
    scored: Scored | None = None
    lost: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    failed: bool = False

    @property
    def state(self) -> State:
        """How far it came."""
        if self.rounds:
            return "emulated" if self.emulated else "measured"
        if self.failed:
            return "failed"
        if self.measurement is not None and self.emulated:
            return "emulated"
        if self.estimated is not None:
            return "estimated"
        return "compiled" if self.built is not None else "left out"

    @property
    def p50_ms(self) -> float | None:
        """The median of its turns' medians; None where no time counts."""
        return median(one.median_ms for one in self.rounds) if self.rounds else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the recipe's data, as it answered."""
        if self.scored is not None:
            return self.scored.metrics
        return self.measurement.metrics if self.measurement is not None else {}

    @property
    def confusion(self) -> Confusion | None:
        """Of the recipe's classes, as it answered."""
        if self.scored is not None:
            return self.scored.confusion
        return self.measurement.confusion if self.measurement is not None else None

    @property
    def correctness(self) -> Correctness | None:
        """Against the reference, on the board where it ran on one."""
        if self.measurement is not None:
            return self.measurement.correctness
        return self.built.correctness if self.built is not None else None

    @property
    def is_right(self) -> bool:
        """Whether nothing is known against its answers."""
        return self.correctness is None or self.correctness.passed

    @property
    def size_bytes(self) -> int | None:
        """Of what is deployed: the package, or the file that a peer reads."""
        if self.scored is not None:
            return self.scored.model_size_bytes
        return self.built.package_size_bytes if self.built is not None else None

    @property
    def memory_bytes(self) -> int | None:
        """The most that it held, beyond the bare server."""
        return self.measurement.peak_memory_bytes if self.measurement is not None else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """The compiler's."""
        return self.built.remarks if self.built is not None else ()


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as the other.

    Attributes:
        middle, least, most: over the rounds that both were in.
        rounds: how many; 0 where they were measured apart, each beside the baseline.
    """

    middle: float
    least: float
    most: float
    rounds: int

    @property
    def is_told(self) -> bool:
        """Whether every round says the same."""
        return not self.least <= 1 <= self.most


def ratio(second: Row, first: Row, baseline: Row | None = None) -> Ratio | None:
    """The second's time over the first's: of neighbours in time, whose medians what drifts hits
    alike; else of what each takes beside the baseline. None where they cannot be compared.
    """
    if first.state != "measured" or second.state != "measured" or first.board != second.board:
        return None
    mine = {one.when: one.median_ms for one in second.rounds}
    paired = [mine[one.when] / one.median_ms for one in first.rounds if one.when in mine]
    if len(paired) > 1 or second is first:
        return Ratio(median(paired), min(paired), max(paired), len(paired))
    if baseline is None:
        return None
    over, under = ratio(second, baseline), ratio(first, baseline)
    if over is None or under is None:
        return None
    return Ratio(over.middle / under.middle, over.least / under.most, over.most / under.least, 0)


@dataclass(frozen=True)
class Results:
    """An experiment with what came of it so far.

    Attributes:
        rows: of all variants, the baseline first, then those of peers.
        accuracy: the metric that is the accuracy; empty where no recipe has one.
        best: its value where all is right.
    """

    experiment: Experiment
    rows: tuple[Row, ...]
    accuracy: str = ""
    best: float | None = None

    @property
    def baseline(self) -> Row:
        """What all others are compared with."""
        return self.rows[0]

    def row(self, variant: Variant, peer: str | None = None) -> Row | None:
        """What came of a variant, or of a peer with the variant's model and threads."""
        for row in self.rows:
            name = row.peer.partition(" ")[0] or None
            if name == peer and _same(row.variant, variant, peer):
                return row
        return None

    def relative(self, row: Row) -> Ratio | None:
        """To the baseline."""
        return ratio(row, self.baseline)

    def lost_pct(self, row: Row) -> float | None:
        """Accuracy that a variant loses against the baseline; None where it is not known."""
        before, after = (one.metrics.get(self.accuracy) for one in (self.baseline, row))
        if before is None or after is None:
            return None
        return lost_pct(before, after, self.best)


def _same(found: Variant, asked: Variant, peer: str | None) -> bool:
    """A peer has neither targets nor options of ours."""
    if peer is None:
        return found == asked
    return (found.model, found.threads) == (asked.model, asked.threads)


def of_state(rows: Sequence[Row], *states: State) -> list[Row]:
    """The rows of some states, in their order."""
    return [row for row in rows if row.state in states]
