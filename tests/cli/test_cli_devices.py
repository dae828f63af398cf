"""`edgetvm devices`: the boards of the inventory, as users meet them."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_command import edgetvm, refused

INVENTORY = """\
boards:
  kitchen: {profile: rpi4, host: 10.0.0.7, user: edge, tags: [lab]}
  far: {profile: rpi5, tracker: "127.0.0.1:9190", key: far}
groups:
  switched:
    defaults: {power: {command: {on: "true", off: "true"}}}
    boards: {kitchen: }
"""


@pytest.fixture
def inventory(isolated_home: Path) -> Path:
    """The user's inventory, with two boards."""
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(INVENTORY)
    return path


def test_boards_are_listed_and_selected(inventory: Path) -> None:
    listed = edgetvm("devices", "list")
    assert listed.code == 0
    for words in ("this machine", "ssh edge@10.0.0.7", "tracker 127.0.0.1:9190", "switched", "lab"):
        assert words in listed.out
    document = edgetvm("devices", "list", "arch=aarch64", "mem>=8G", "--json").document
    assert [board["name"] for board in document] == ["far"]
    assert refused(edgetvm("devices", "list", "arhc=x"), 2, "did you mean 'arch'?")


def test_a_board_is_shown_with_its_groups_words(inventory: Path) -> None:
    shown = edgetvm("devices", "show", "kitchen")
    assert shown.code == 0
    assert "by command" in shown.out
    document = edgetvm("devices", "show", "kitchen", "--json").document
    assert document["login"]["hop"] == {"host": "10.0.0.7", "port": None, "user": "edge"}
    assert document["power"]["command"]["on"] == "true"
    assert refused(edgetvm("devices", "show", "kitchn"), 3, "did you mean 'kitchen'?")


def test_a_board_is_added(inventory: Path) -> None:
    done = edgetvm(
        *("devices", "add", "attic", "--profile", "rpi5", "--host", "10.0.0.8"),
        *("--port", "2222", "--tag", "hot", "--tag", "lab"),
    )
    assert done.code == 0, done.err
    assert str(inventory) in done.out
    (board,) = edgetvm("devices", "list", "attic", "--json").document
    assert board["login"]["hop"] == {"host": "10.0.0.8", "port": 2222, "user": None}
    assert board["tags"] == ["hot", "lab"]
    again = edgetvm("devices", "add", "attic", "--profile", "rpi5", "--host", "10.0.0.9")
    assert refused(again, 2, "there is a board 'attic' already")


def test_power(inventory: Path) -> None:
    assert edgetvm("devices", "power", "kitchen", "off", "--json").document == {
        "name": "kitchen",
        "power": "off",
    }
    assert refused(edgetvm("devices", "power", "far", "on"), 3, "board far", "add `power: …`")
