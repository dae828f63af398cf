"""An experiment as a document for programs: its versioned format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from edgetvm.base.version import __version__
from edgetvm.measure.experiment.answers import Answer
from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.goals import Judged, judged
from edgetvm.measure.experiment.rows import Estimated, Ratio, Results, Round, Row, State
from edgetvm.measure.experiment.variants import Variant
from edgetvm.models.correctness import Correctness
from edgetvm.recipes import Confusion
from edgetvm.report.experiment.told import Told, Verdict

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """A variant, or a peer in its place.

    Attributes:
        name: by what differs among the variants.
        peer: name and version of another runtime; empty for edgetvm.
        state: how far it came.
        why: nothing, or not all, came of it.
        p50_ms: median of the turns' medians; null where its times do not count.
        rounds: its turns.
        beside_baseline: how many times as long it takes.
        measurement: id of the one with the recipe's data.
        lost_settings: of a peer, those that had no more turns, and why.
        on_front: whether no other is faster, smaller and more accurate at once.
    """

    name: str
    variant: Variant
    peer: str
    state: State
    why: str
    lost_settings: Mapping[str, str]
    board: str
    p50_ms: float | None
    rounds: tuple[Round, ...]
    beside_baseline: Ratio | None
    estimated: Estimated | None
    metrics: Mapping[str, float]
    accuracy_lost_pct: float | None
    confusion: Confusion | None
    size_bytes: int | None
    library_size_bytes: int | None
    peak_memory_bytes: int | None
    correctness: Correctness | None
    correct: bool
    on_front: bool
    goals: tuple[Judged, ...]
    remarks: tuple[str, ...]
    measurement: str | None
    package_sha256: str | None


@dataclass(frozen=True)
class ExperimentReport:
    """A report of an experiment.

    Attributes:
        schema_version: of this format.
        made_by: what wrote it.
        accuracy: the metric that is the accuracy; empty where there is none.
        rows: as they are ranked, then those that cannot be.
    """

    schema_version: Literal[1]
    made_by: str
    experiment: Experiment
    accuracy: str
    verdicts: tuple[Verdict, ...]
    answers: tuple[Answer, ...]
    rows: tuple[Entry, ...]


_ADAPTER = TypeAdapter(ExperimentReport)


def experiment_report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the version that is written; programs may find more keys.

    Source: https://json-schema.org/draft/2020-12/schema
    """
    schema = _ADAPTER.json_schema(mode="serialization")
    title = f"edgetvm report of an experiment, version {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def experiment_report(results: Results) -> ExperimentReport:
    """All figures, and the ids of the measurements that they are of."""
    told = Told(results)
    return ExperimentReport(
        schema_version=1,
        made_by=f"edgetvm {__version__}",
        experiment=results.experiment,
        accuracy=results.accuracy,
        verdicts=tuple(told.verdicts),
        answers=told.answers,
        rows=tuple(_entry(told, line.row) for _, group in told.groups for line in group),
    )


def experiment_document(results: Results) -> dict[str, Any]:
    """The report as JSON knows it; an error that is no finite number stands as text."""
    document: dict[str, Any] = _ADAPTER.dump_python(experiment_report(results), mode="json")
    return document


def _entry(told: Told, row: Row) -> Entry:
    built, measurement = row.built, row.measurement
    return Entry(
        name=told.name(row),
        variant=row.variant,
        peer=row.peer,
        state=row.state,
        why=row.why,
        lost_settings=dict(row.lost),
        board=row.board,
        p50_ms=row.p50_ms if row.state == "measured" else None,
        rounds=row.rounds if row.state == "measured" else (),
        beside_baseline=told.results.relative(row),
        estimated=row.estimated,
        metrics=dict(row.metrics),
        accuracy_lost_pct=told.results.lost_pct(row),
        confusion=row.confusion,
        size_bytes=row.size_bytes,
        library_size_bytes=built.library_size_bytes if built is not None else None,
        peak_memory_bytes=row.memory_bytes,
        correctness=row.correctness,
        correct=row.is_right,
        on_front=any(row is one for one in told.front),
        goals=judged(told.results, row),
        remarks=row.remarks,
        measurement=measurement.id if measurement is not None else None,
        package_sha256=built.package_sha256 if built is not None else None,
    )
