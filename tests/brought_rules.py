"""Packages that bring a schedule rule, installed for one test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgetvm.compile.schedules import all_rules

MODULE = "brought_rules_of_a_test"


def bring(
    folder: Path, monkeypatch: pytest.MonkeyPatch, title: str, value: str, source: str
) -> None:
    """Install a package with one rule, for this process and those that it starts.

    Args:
        folder: to install into.
        monkeypatch: undoes it.
        title: of the rule.
        value: of its entry point.
        source: of the module `MODULE`.
    """
    information = folder / "brought_rules-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: brought-rules\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(f"[edgetvm.schedule_rules]\n{title} = {value}\n")
    (folder / f"{MODULE}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    all_rules.cache_clear()


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Nothing that was brought stays."""
    yield
    all_rules.cache_clear()
