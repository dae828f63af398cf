"""The report as a document for programs: its versioned format, and how one that was kept is opened.

The measurements in it are whole. Figures are computed from them anew when it is opened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.files import read_errors
from edgetvm.base.version import __version__
from edgetvm.measure.exchange import exported
from edgetvm.measure.measurement import Measurement, from_json
from edgetvm.measure.operators import OperatorTime, operator_times
from edgetvm.measure.real_time import RealTime
from edgetvm.measure.real_time_figures import RealTimeFigures, figures_of
from edgetvm.measure.statistics import Summary
from edgetvm.report.background import NO_BACKGROUND, Background
from edgetvm.report.results import Result, as_given

JSON_SCHEMA_VERSION = 2
# Version 1 had measurements only.
_READ_VERSIONS = (1, JSON_SCHEMA_VERSION)


@dataclass(frozen=True)
class Figures(Summary):
    """The figures of a measurement.

    Attributes:
        correct: whether its answers are within the tolerance of the reference's.
    """

    correct: bool


@dataclass(frozen=True)
class Entry:
    """One measurement of a report.

    Attributes:
        summary: computed from the samples; `warnings` are all that speaks against the figures.
        measurement: raw, with a schema version of its own.
        operators: where the time of a run goes, those that take longest first.
        real_time: of a run in real time.
    """

    summary: Figures
    measurement: Measurement
    operators: tuple[OperatorTime, ...] = ()
    real_time: RealTimeFigures | None = None


@dataclass(frozen=True)
class Report:
    """A report of edgetvm.

    Attributes:
        schema_version: of this format.
        made_by: what wrote it.
        measurements: in the order that was asked for.
        background: what was known beside them.
    """

    schema_version: Literal[2]
    made_by: str
    measurements: Annotated[tuple[Entry, ...], Field(min_length=1)]
    background: Background = NO_BACKGROUND


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the version that is written; programs may find more keys.

    Source: https://json-schema.org/draft/2020-12/schema
    """
    schema = TypeAdapter(Report).json_schema(mode="serialization")
    title = f"edgetvm report, version {JSON_SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def render_json(measurements: Sequence[Measurement], background: Background = NO_BACKGROUND) -> str:
    """What `json_pieces` gives, as one text.

    Raises:
        UsageError: no measurements.
    """
    return "".join(json_pieces(measurements, background))


def json_pieces(
    measurements: Sequence[Measurement],
    background: Background = NO_BACKGROUND,
    beside: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """All figures and all raw data, in the order of the measurements, piece by piece: the samples
    are never in memory together.

    A figure that is no finite number stands as null; in the raw data, as a text.

    Args:
        beside: more entries of the document, by their names.

    Raises:
        UsageError: no measurements.
    """
    found = as_given(measurements)
    yield f'{{"schema_version": {JSON_SCHEMA_VERSION}, "made_by": "edgetvm {__version__}", '
    yield '"measurements": ['
    for index, result in enumerate(found):
        yield ", " if index else ""
        yield from _entry(result)
    yield "]"
    for name, value in {"background": asdict(background), **(beside or {})}.items():
        yield f", {_json(name)}: {_json(value)}"
    yield "}\n"


def _entry(result: Result) -> Iterator[str]:
    measurement = result.measurement
    summary = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(result.summary).items()
    }
    summary |= {"correct": result.right, "warnings": list(result.findings)}
    yield f'{{"summary": {_json(summary)}, "measurement": '
    for piece in exported(measurement):
        yield piece.decode()
    yield f', "operators": {_json([asdict(one) for one in operator_times(measurement)])}'
    run = measurement.real_time
    yield f', "real_time": {_json(None if run is None else _real_time(run))}}}'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _real_time(run: RealTime) -> dict[str, object]:
    figures = figures_of(run)
    shares = {"real_time_factor": figures.real_time_factor, "miss_pct": figures.miss_pct}
    return {**asdict(figures), **shares}


def read_report(path: Path) -> tuple[list[Measurement], Background]:
    """Open a report that was written as JSON, of this version or an older one.

    Raises:
        StorageError: the file cannot be read.
        ConfigurationError: it is no such report, or of a newer edgetvm.
    """
    with read_errors(path):
        data = path.read_bytes()
    where = str(path)
    document = _opened(data, where)
    try:
        found = [json.dumps(entry["measurement"]).encode() for entry in document["measurements"]]
    except (KeyError, TypeError) as error:
        raise _no_report(where) from error
    read = [from_json(one, f"{where}, measurement {at}") for at, one in enumerate(found, 1)]
    return read, _background(document, where)


def _opened(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_report(where) from error
    if not isinstance(document, dict) or not document.get("measurements"):
        raise _no_report(where)
    version = document.get("schema_version")
    if version not in _READ_VERSIONS:
        raise ConfigurationError(
            f"report of schema version {version}",
            where=where,
            mend=f"this edgetvm reads versions {' and '.join(map(str, _READ_VERSIONS))}",
        )
    return document


def _no_report(where: str) -> ConfigurationError:
    return ConfigurationError(
        "not a report of edgetvm",
        where=where,
        mend="name a file that `edgetvm report --output FILE.json` wrote",
    )


def _background(document: dict[str, Any], where: str) -> Background:
    try:
        return TypeAdapter(Background).validate_python(document.get("background", {}))
    except ValidationError as error:
        raise ConfigurationError(
            "what stands in the report beside its measurements is damaged",
            where=f"{where}, background",
            mend="was it edited? without that key it opens",
        ) from error
