"""`edgetvm provision`, as users meet it, on emulated boards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import emulated_boards
import pytest
from real_command import edgetvm, refused

from edgetvm.farm.emulating import EmulatedBoard
from edgetvm.farm.emulating.inventory_of import inventory_text
from edgetvm.farm.provision.found import parse_found

pytestmark = pytest.mark.board

_CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))


@pytest.fixture(scope="module")
def boards() -> Iterator[list[EmulatedBoard]]:
    with emulated_boards.boards(2) as made:
        yield made


@pytest.fixture(autouse=True)
def inventory(
    isolated_home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The user's inventory has both boards, where the test has them."""
    monkeypatch.setenv("XDG_CACHE_HOME", _CACHE)
    if "boards" in request.fixturenames:
        boards = request.getfixturevalue("boards")
        path = isolated_home / "boards.yaml"
        path.write_text(inventory_text(boards))
        monkeypatch.setenv("EDGETVM_INVENTORY", str(path))
        for board in boards:
            emulated_boards.know(board)


def test_boards_are_made_ready_as_planned(boards: list[EmulatedBoard], tmp_path: Path) -> None:
    first, second = (board.name for board in boards)
    planned = edgetvm("provision", "--dry-run")
    assert planned.code == 0
    assert planned.is_clean()
    assert f"{first}  +  would change  server runs: it does not" in planned.out
    assert f"{second}  ?  unknown " in planned.out
    done = edgetvm("provision", "--json", cold=True)
    assert done.code == 0
    assert {name: one["result"] for name, one in done.document.items()} == {
        first: "changed",
        second: "changed",
    }
    steps = done.document[first]["steps"]
    assert {"title", "state", "why", "commands"} == set(steps[0])
    assert any("useradd" in command for step in steps for command in step["commands"])
    again = edgetvm("provision", first)
    assert again.out.split() == ["board", first, "✓", *"no change all is as it should be".split()]

    recorded = tmp_path / "answer.txt"
    assert edgetvm("provision", first, "--record", recorded).code == 0
    assert parse_found(recorded.read_text()).serving
    key = (boards[0].root / "var/lib/edgetvm/key").read_text().strip()
    assert key not in recorded.read_text()
    assert refused(edgetvm("provision", "--record", tmp_path / "x"), 2, "name it")

    removed = edgetvm("provision", "--remove")
    assert removed.code == 0
    again = edgetvm("provision", "--remove", "--json")
    assert [one["result"] for one in again.document.values()] == ["no change", "no change"]


def test_a_board_that_fails_is_told_in_every_place(boards: list[EmulatedBoard]) -> None:
    boards[1].run("sh", "-c", "chmod 000 /usr/bin/sudo")
    done = edgetvm("provision", "--dry-run", "--json")
    boards[1].run("sh", "-c", "chmod 4755 /usr/bin/sudo")
    assert done.code == 8
    failed = done.document[boards[1].name]
    assert (failed["result"], failed["exit_code"]) == ("failed", 8)
    assert "needs root there" in failed["error"]
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {failed['error']}"]
    assert done.document[boards[0].name]["result"] == "would change"


def test_boards_without_a_host_are_told(isolated_home: Path) -> None:
    assert refused(edgetvm("provision"), 3, "has a `host`")
    assert refused(edgetvm("provision", "nobody"), 3, "nobody")
    assert edgetvm("provision", "local").code == 3
