"""An experiment for other programs and for notes: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from edgetvm.measure.experiment.rows import Results
from edgetvm.report.escaping import csv_cell, markdown_section, markdown_text
from edgetvm.report.experiment.document import Entry, experiment_document, experiment_report
from edgetvm.report.experiment.told import HEAD, HOW, Told, names_told


def render_experiment_json(results: Results) -> str:
    """See `ExperimentReport`."""
    document = experiment_document(results)
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def render_experiment_csv(results: Results) -> str:
    """One row for each variant and peer, in full precision, with units in the header."""
    rows = [_flat(one) for one in experiment_report(results).rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in names])
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return file.getvalue()


def _flat(entry: Entry) -> dict[str, object]:
    ratio, estimated = entry.beside_baseline, entry.estimated
    plain = ("state", "board", "p50_ms", "size_bytes", "library_size_bytes", "peak_memory_bytes")
    return {
        "peer": entry.peer,
        **asdict(entry.variant),
        **{name: getattr(entry, name) for name in plain},
        "rounds": len(entry.rounds),
        "ratio": None if ratio is None else ratio.middle,
        "ratio_least": None if ratio is None else ratio.least,
        "ratio_most": None if ratio is None else ratio.most,
        "estimated_ms": None if estimated is None else estimated.ms,
        "accuracy_lost_pct": entry.accuracy_lost_pct,
        "correct": entry.correct,
        "on_front": entry.on_front,
        "why": entry.why,
        **{f"metric_{name}": value for name, value in entry.metrics.items()},
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
