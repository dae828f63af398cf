"""`edgetvm report`: of the store and of files that were kept, in every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_command import Home, refused

pytestmark = pytest.mark.board


def test_a_report_that_was_kept_opens_as_the_same(home: Home, tmp_path: Path) -> None:
    names = [tmp_path / f"r.{ending}" for ending in ("html", "json", "md", "csv", "gbench.json")]
    outputs = [word for name in names for word in ("-o", name)]
    done = home.edgetvm("report", home.measurement, *outputs)
    assert done.code == 0, done.err
    assert done.is_clean()
    assert all(str(name) in done.err for name in names)
    again = tmp_path / "again.html"
    # Without the store that it came from.
    elsewhere = f"sqlite:///{tmp_path / 'empty.sqlite'}"
    done = home.edgetvm("report", names[1], "-o", again, "--store", elsewhere, "--json")
    assert done.code == 0, done.err
    assert again.read_text() == names[0].read_text()
    assert done.document == json.loads(names[1].read_text())
    (one,) = json.loads(names[4].read_text())["benchmarks"]
    assert one["real_time"] == done.document["measurements"][0]["summary"]["p50_ms"]


def test_what_cannot_be_shown_is_told_in_words(home: Home, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    assert refused(home.edgetvm("report", bad), 3, str(bad), "not a report of edgetvm")
    table = tmp_path / "table.csv"
    table.touch()
    assert refused(home.edgetvm("report", table), 2, str(table), "only JSON reports")
    assert refused(home.edgetvm("report", "--model", "unknown"), 2, "nothing of that is kept")
    assert refused(home.edgetvm("report", "-o", tmp_path / "r.pdf"), 2, "html, md, csv, json")
    assert not (tmp_path / "r.pdf").exists()
