"""The inventory: boards by name, and errors that say file, line, key and mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.farm import Address, Board, find_board, load_inventory
from edgetvm.farm.inventory import LOCAL, inventory_path

TWO = """\
boards:
  kitchen:
    profile: rpi4
    tracker: 127.0.0.1:9190
    key: rpi4
  garage:
    profile: beagleplay
    tracker: 10.0.0.7:9191
    key: play
"""


@pytest.fixture
def inventory(isolated_home: Path) -> Path:
    """The path of the user's inventory, its folder there."""
    path = isolated_home / ".config" / "edgetvm" / "boards.yaml"
    path.parent.mkdir(parents=True)
    return path


def test_without_a_file_there_is_this_machine(isolated_home: Path) -> None:
    assert load_inventory() == {"local": LOCAL}
    assert find_board("local") == Board("local", "local", None, "")
    assert inventory_path() == isolated_home / ".config" / "edgetvm" / "boards.yaml"


def test_boards_are_read(inventory: Path) -> None:
    inventory.write_text(TWO)
    assert load_inventory() == {
        "local": LOCAL,
        "kitchen": Board("kitchen", "rpi4", Address("127.0.0.1", 9190), "rpi4"),
        "garage": Board("garage", "beagleplay", Address("10.0.0.7", 9191), "play"),
    }
    assert find_board("garage").key == "play"


def test_the_environment_names_another_file(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory.write_text("boards: {}")
    other = tmp_path / "other.yaml"
    other.write_text(TWO)
    monkeypatch.setenv("EDGETVM_INVENTORY", str(other))
    assert set(load_inventory()) == {"local", "kitchen", "garage"}
    assert set(load_inventory(inventory)) == {"local"}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            "key: rpi4",
            "key: rpi4\n    kye: 1",
            6,
            "unknown key boards.kitchen.kye (did you mean 'key'",
        ),
        ("    key: rpi4\n", "", 2, "key boards.kitchen.key is missing (add `key: …`)"),
        ("    profile: rpi4\n", "", 2, "key boards.kitchen.profile is missing"),
        ("127.0.0.1:9190", "127.0.0.1", 4, "boards.kitchen.tracker"),
        ("10.0.0.7:9191", "10.0.0.7:99999", 8, "boards.garage.tracker"),
        ("127.0.0.1:9190", "9190", 4, "boards.kitchen.tracker"),
        ("garage:", "kitchen:", 6, "key 'kitchen' stands twice"),
        ("garage:", "local:", 6, "'local'"),
        ("boards:", "bords:", 1, "unknown key bords (did you mean 'boards'?)"),
        ("profile: rpi4", "profile: [rpi4]", 3, "boards.kitchen.profile"),
        ("    tracker: 127", "   tracker: 127", 4, "not YAML"),
    ],
)
def test_an_error_names_file_line_key_and_mend(
    inventory: Path, old: str, new: str, line: int, words: str
) -> None:
    inventory.write_text(TWO.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        find_board("kitchen")
    assert str(caught.value).startswith(f"{inventory}:{line}: ")
    assert words in str(caught.value)
    assert caught.value.mend
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "boards: 7\n", "boards: [a, b]\n"])
def test_files_of_another_form(inventory: Path, text: str) -> None:
    inventory.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_inventory()
    assert str(caught.value).startswith(str(inventory))
    assert caught.value.mend


def test_an_unknown_board_names_the_nearest(inventory: Path) -> None:
    inventory.write_text(TWO)
    with pytest.raises(NotFoundError, match=r"no board is called 'kitchn'.*did you mean 'kitchen'"):
        find_board("kitchn")
    with pytest.raises(NotFoundError, match="known boards: local, kitchen, garage"):
        find_board("zzz")


def test_the_name_of_a_profile_is_explained(inventory: Path) -> None:
    inventory.write_text(TWO)
    with pytest.raises(NotFoundError) as caught:
        find_board("rpi5")
    assert "'rpi5' is a board profile" in str(caught.value)
    assert str(inventory) in str(caught.value)
    assert "edgetvm package" in str(caught.value)


def test_an_inventory_that_was_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETVM_INVENTORY", str(tmp_path / "gone.yaml"))
    with pytest.raises(ConfigurationError, match=r"gone\.yaml"):
        load_inventory()
