"""`edgetvm farm` with this machine as its board: up, killed, up again, down."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from real_board import alive, within
from real_command import Done, edgetvm, refused


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Where the farm's state lies; no farm of it outlives the test."""
    variables = {"EDGETVM_FARM": "", "XDG_DATA_HOME": str(tmp_path)}
    yield variables
    edgetvm("farm", "down", environment=variables)


def test_a_farm_comes_up_is_killed_and_comes_back_with_its_leases(home: dict[str, str]) -> None:
    def run(*words: str) -> Done:
        return edgetvm(*words, environment=home)

    def board() -> dict[str, object]:
        (found,) = run("farm", "status", "--json").document["boards"]
        return dict(found)

    assert refused(run("farm", "down"), 8, "no farm of this host is up")
    first = run("farm", "up", "local", "--json")
    assert first.code == 0, first.err
    (daemon,) = first.document["daemons"]
    assert refused(run("farm", "up", "local"), 2, "the farm is up already")
    assert within(40, lambda: board()["health"] == "good")
    # Packages run in the C runtime, as they do without a farm.
    words = [one.cmdline() for one in psutil.Process(int(daemon["pid"])).children()]
    assert ["--runtime" in one for one in words if "edgetvm.farm.server" in one] == [True]
    taken = run("lease", "take", "local", "--for", "10m", "--json").document

    os.kill(daemon["pid"], signal.SIGKILL)
    assert within(10, lambda: not alive(daemon["pid"]))
    again = run("farm", "up", "local", "--json")
    assert again.code == 0, again.err
    (successor,) = again.document["daemons"]
    assert successor["tracker"] == daemon["tracker"]
    lease = board()["lease"]
    assert isinstance(lease, dict)
    assert lease["token"] == taken["token"]

    assert run("lease", "release", "local").code == 0
    done = run("lease", "run", "local", "--wait", "40", "--", "sh", "-c", 'test "$EDGETVM_LEASE"')
    assert done.code == 0, done.err
    down = run("farm", "down")
    assert down.code == 0, down.err
    assert not alive(successor["pid"])
    shown = run("farm", "status")
    assert shown.is_clean()
    assert "the farm is down" in shown.out
    assert "local" in shown.out


def test_an_empty_inventory_is_told(home: dict[str, str]) -> None:
    empty = {**home, "XDG_CONFIG_HOME": home["XDG_DATA_HOME"]}
    done = edgetvm("farm", "up", environment=empty)
    assert refused(done, 2, "has no board to serve", "edgetvm farm up local")
