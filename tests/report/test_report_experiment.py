"""Reports of experiments: pages that load nothing, words of others that nobody obeys."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from browser import looks
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent / "measure"))

from test_measure_experiment_goals import BASE, INT8, results, rounds, row
from test_report_html import checked

from edgetvm.base.errors import UsageError
from edgetvm.measure.experiment.file import Goals, Question
from edgetvm.measure.experiment.rows import Estimated, Results, Row, Scored
from edgetvm.measure.experiment.variants import Place
from edgetvm.recipes import Confusion
from edgetvm.report.experiment import (
    check_experiment_format,
    experiment_tables,
    write_experiment,
)
from edgetvm.workflow.schemas import schema

HOSTILE = "=1+1</script><script>alert(49)</script>"


@pytest.fixture
def found() -> Results:
    """Variants of every state, and a peer; one of them and a question speak for others."""
    confused = Confusion(("cat", "dog"), ((3, 1), (0, 4)))
    asked = Question(f"What does int8 bring? {HOSTILE}", Place(), Place(model="int8"))
    scored = Scored("litert 2.3.0", 60_000, {"top1": 0.875}, confused)
    peer = Row(INT8, "local", peer="litert 2.3.0", rounds=rounds([0.6, 0.7]), scored=scored)
    rows = [
        row(BASE, [1, 1.1]),
        row(INT8, [0.5, 0.52], kb=40, remarks=(f"a remark {HOSTILE}",)),
        Row(replace(BASE, opt_level=1), why=HOSTILE, failed=True),
        Row(replace(BASE, opt_level=2), built=row(BASE, [1]).built, estimated=Estimated(2, 1, 4)),
        replace(row(replace(BASE, opt_level=4), [9, 9]), emulated=True),
        peer,
    ]
    with_counts = [
        one
        if one.measurement is None
        else replace(one, measurement=replace(one.measurement, confusion=confused))
        for one in rows
    ]
    goals = Goals(min_time_saved_pct=20, max_accuracy_lost_pct=5)
    return results(*with_counts, goals=goals, questions=[asked])


def test_a_page_is_readable_and_loads_nothing(found: Results, tmp_path: Path) -> None:
    path = tmp_path / "lab.html"
    write_experiment(found, path)
    page = path.read_text()
    checked(page)
    assert "<script>alert" not in page
    for look in looks(page, tmp_path):
        assert look.needed <= look.room
        assert "1 variant meets all goals, first int8, -O3" in look.text
        assert "int8 is 2.06 times as fast (2 to 2.12 over 2 rounds)" in look.text
        assert "No real board: answers are an emulated board's" in look.text
        # Two trade-offs and one matrix, which all answer with.
        assert len(look.drawings) == 3
        assert all(width > 0 and height > 0 for width, height in look.drawings)


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_has_room_for_figures_and_notes(found: Results, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(experiment_tables(found))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for figure in ("0.510 ms", "0.500 to 0.520 ms", "0.486", "40.0 kB", "about 2.00 ms"):
        assert figure in text
    # A note has the width of the terminal, and stands once.
    whole = " ".join(" ".join(lines).split())
    assert f"float, -O1: {HOSTILE}" in whole
    assert "Failed" in lines
    notes = lines[lines.index("Failed") + 1 :]
    assert notes[0].strip().startswith("float, -O1: ")


def test_emulated_times_stand_nowhere(found: Results, tmp_path: Path) -> None:
    for suffix in ("html", "md", "csv", "json"):
        path = tmp_path / f"lab.{suffix}"
        write_experiment(found, path)
        assert "9.00 ms" not in path.read_text()
    (emulated,) = [
        one
        for one in json.loads((tmp_path / "lab.json").read_text())["rows"]
        if one["state"] == "emulated"
    ]
    assert (emulated["p50_ms"], emulated["beside_baseline"]) == (None, None)


def test_a_format_of_other_reports_is_refused_before_the_work(tmp_path: Path) -> None:
    for name in ("lab.gbench.json", "lab.pdf", "lab"):
        with pytest.raises(UsageError, match="html, md, csv, json"):
            check_experiment_format(tmp_path / name)


def test_json_is_of_the_published_format(found: Results, tmp_path: Path) -> None:
    write_experiment(found, tmp_path / "lab.json")
    document = json.loads((tmp_path / "lab.json").read_text())
    jsonschema.validate(document, schema("experiment-report"))
    assert document["rows"][0]["beside_baseline"]["middle"] == pytest.approx(0.486, abs=1e-3)


def test_tables_of_other_programs(found: Results, tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    write_experiment(found, path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    measured = [one for one in rows if one["state"] == "measured"]
    assert [(one["peer"], one["model"]) for one in measured] == [
        ("", "int8"),
        ("litert 2.3.0", "int8"),
        ("", "float"),
    ]
    assert [float(one["p50_ms"]) for one in measured] == pytest.approx([0.51, 0.65, 1.05])
    assert not any(cell.startswith("=") for one in rows for cell in one.values())
    write_experiment(found, tmp_path / "lab.md")
    text = (tmp_path / "lab.md").read_text()
    assert "<script>" not in text
    assert "| cat | 3 | 1 |" in text
