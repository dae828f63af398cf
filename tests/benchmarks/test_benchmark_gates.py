"""The benchmark of gates: what a page would load, and what so few gates prove."""

from __future__ import annotations

import math

import pytest

from benchmarks.gates import external_loads, told


def test_a_page_s_loads_are_found_and_its_links_are_none() -> None:
    loading = """<script src="https://cdn.example/x.js"></script>
    <link rel=stylesheet href='//cdn.example/x.css'><style>a{background:url(http://x/y.png)}</style>
    <img src=https://x/y.png><a href="https://example.org">to read</a>"""
    assert external_loads(loading) == 4
    assert external_loads('<svg xmlns="http://www.w3.org/2000/svg"></svg><a href="#m1">a</a>') == 0


def test_a_share_is_told_with_what_it_proves(capsys: pytest.CaptureFixture[str]) -> None:
    assert told("false alarms", 0, 368) == 0
    # By Clopper and Pearson: 1 - 0.025 ** (1 / 368).
    assert "0 of 368, with 95% confidence 0.0% to 1.0%" in capsys.readouterr().out
    assert told("5% found", 72, 72) == 100
    assert "95.0% to 100.0%" in capsys.readouterr().out
    assert math.isnan(told("none", 0, 0))
