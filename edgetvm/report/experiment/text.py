"""An experiment for other programs and for notes: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from edgetvm.measure.experiment.file import Experiment
from edgetvm.measure.experiment.goals import judged
from edgetvm.measure.experiment.rows import Results, Row
from edgetvm.report.escaping import csv_cell, markdown_section, markdown_text
from edgetvm.report.experiment.told import HEAD, HOW, Told, names_told

SCHEMA_VERSION = 1


def experiment_document(results: Results) -> dict[str, Any]:
    """All figures, and the ids of the measurements that they are of."""
    told = Told(results)
    lines = [line.row for _, group in told.groups for line in group]
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": TypeAdapter(Experiment).dump_python(results.experiment, mode="json"),
        "accuracy": results.accuracy,
        "verdicts": [asdict(one) for one in told.verdicts],
        "answers": [asdict(one) for one in told.answers],
        "rows": [_row(told, row) for row in lines],
    }


def _row(told: Told, row: Row) -> dict[str, Any]:
    ratio, correctness = told.results.relative(row), row.correctness
    return {
        "name": told.name(row),
        "variant": asdict(row.variant),
        "peer": row.peer,
        "state": row.state,
        "why": row.why,
        "board": row.board,
        "p50_ms": row.p50_ms if row.state == "measured" else None,
        "rounds": [asdict(one) for one in row.rounds],
        "beside_baseline": None if ratio is None else asdict(ratio),
        "estimated": None if row.estimated is None else asdict(row.estimated),
        "metrics": dict(row.metrics),
        "accuracy_lost_pct": told.results.lost_pct(row),
        "confusion": None if row.confusion is None else asdict(row.confusion),
        "size_bytes": row.size_bytes,
        "library_size_bytes": row.built.library_size_bytes if row.built is not None else None,
        "peak_memory_bytes": row.memory_bytes,
        "correctness": None if correctness is None else asdict(correctness),
        "correct": row.is_right,
        "on_front": any(row is one for one in told.front),
        "goals": [asdict(one) for one in judged(told.results, row)],
        "remarks": list(row.remarks),
        "measurement": row.measurement.id if row.measurement is not None else None,
        "package_sha256": row.built.package_sha256 if row.built is not None else None,
    }


def render_experiment_json(results: Results) -> str:
    """The document; what is no finite number stands as null."""
    return json.dumps(_finite(experiment_document(results)), ensure_ascii=False, indent=1) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value


def render_experiment_csv(results: Results) -> str:
    """One row for each variant and peer, in full precision, with units in the header."""
    rows = [_flat(one) for one in experiment_document(results)["rows"]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return file.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    ratio, estimated = row["beside_baseline"] or {}, row["estimated"] or {}
    plain = ("state", "board", "p50_ms", "size_bytes", "library_size_bytes", "peak_memory_bytes")
    return {
        **({"peer": row["peer"]} | row["variant"]),
        **{name: row[name] for name in plain},
        "rounds": len(row["rounds"]),
        "ratio": ratio.get("middle"),
        "ratio_least": ratio.get("least"),
        "ratio_most": ratio.get("most"),
        "estimated_ms": estimated.get("ms"),
        "accuracy_lost_pct": row["accuracy_lost_pct"],
        "correct": row["correct"],
        "on_front": row["on_front"],
        "why": row["why"],
        **{f"metric_{name}": value for name, value in row["metrics"].items()},
    }


def render_experiment_markdown(results: Results) -> str:
    """Verdicts, answers, tables and remarks as GitHub-flavoured Markdown."""
    told = Told(results)
    lines = [f"# {markdown_text(results.experiment.name)}", ""]
    lines += [markdown_text(results.experiment.description), ""]
    lines += [f"- {one.mark}: {markdown_text(one.sentence)}" for one in told.verdicts]
    if told.answers:
        lines += ["", "## Answers", ""]
        for one in told.answers:
            answer = markdown_text(" ".join(one.sentences))
            lines.append(f"- **{markdown_text(one.question)}** {answer}")
    for title, group in told.groups:
        rows = [(*line.cells, "; ".join(line.notes)) for line in group]
        lines += ["", *markdown_section(title or "Measured", (*HEAD, "Notes"), rows)]
    lines += ["", HOW]
    if told.remarks:
        lines += ["", "## What the compiler says", ""]
        lines += [
            f"- {markdown_text(one)}: {markdown_text(names_told(names))}"
            for one, names in told.remarks
        ]
    for confusion, names in told.confusions:
        title = f"Confusion: {names_told(names)}"
        head = ("Label", *confusion.classes)
        counts = zip(confusion.classes, confusion.counts, strict=True)
        table = [(name, *map(str, of_label)) for name, of_label in counts]
        lines += ["", *markdown_section(title, head, table)]
    lines += ["", *markdown_section("How it was measured", ("Fact", "Value"), told.facts)]
    return "\n".join(lines) + "\n"
