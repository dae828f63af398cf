"""`edgetvm results`: the history, one measurement, out and in again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_command import Home, refused

pytestmark = pytest.mark.board


def test_list_and_show(home: Home) -> None:
    listed = home.edgetvm("results", "list", "--json", cold=True)
    assert home.measurement in [one["id"] for one in listed.document]
    table = home.edgetvm("results", "list", "--model", "tiny")
    assert table.is_clean()
    assert home.measurement in table.out
    assert home.edgetvm("results", "list", "--model", "another", "--json").document == []
    none = home.edgetvm("results", "list", "--model", "another")
    assert "nothing of that is kept" in none.out
    shown = home.edgetvm("results", "show", home.measurement)
    assert shown.is_clean()
    for words in ("single-stream", "at least 20 runs", "p99.9", "RPC and network", "preempted"):
        assert words in shown.out
    document = home.edgetvm("results", "show", home.measurement, "--json").document
    assert len(document["measurement"]["samples_ns"]) >= 20
    assert document["operators"]
    assert sum(one["share"] for one in document["operators"]) == pytest.approx(1)


def test_out_and_in_again(home: Home, tmp_path: Path) -> None:
    file, other = tmp_path / "one.jsonl", f"sqlite:///{tmp_path / 'other.sqlite'}"
    assert home.edgetvm("results", "export", file, home.measurement).code == 0
    assert json.loads(file.read_text())["id"] == home.measurement
    assert home.edgetvm("results", "list", "--store", other, "--json").document == []
    arguments = ("results", "import", file, "--store", other, "--json")
    assert home.edgetvm(*arguments).document == {"added": 1, "known": 0}
    assert home.edgetvm(*arguments).document == {"added": 0, "known": 1}
    (one,) = home.edgetvm("results", "list", "--store", other, "--json").document
    assert one["id"] == home.measurement


def test_what_cannot_be_is_told_in_words(home: Home, tmp_path: Path) -> None:
    assert refused(home.edgetvm("results", "show", "nothing"), 3, "no measurement has the id")
    assert refused(home.edgetvm("results", "list", "--store", "nonsense"), 2, "names no database")
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    assert refused(home.edgetvm("results", "import", bad), 3, str(bad), "not a measurement")
    assert refused(home.edgetvm("results", "import", tmp_path / "gone"), 10, "check the path")
