"""The inventory: boards by name, and errors that say file, line, key and mend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.farm import Address, Board, find_board, load_inventory
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import LOCAL, Login, inventory_path
from edgetvm.farm.inventory_file import Limits
from edgetvm.farm.power import Power, PowerCommand
from edgetvm.farm.secret import Secret

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
    assert find_board("local") == Board("local", "local")
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
        ("    key: rpi4\n", "", 2, "boards.kitchen.key is missing (add `key: …`)"),
        ("    profile: rpi4\n", "", 2, "boards.kitchen.profile is missing"),
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
    with pytest.raises(ConfigurationError, match=r"gone\.yaml: no such file \(EDGETVM_INV"):
        load_inventory()


GROUPS = """\
defaults:
  user: edge
  key_file: /keys/boards
  tags: [mine]
boards:
  kitchen: {profile: rpi4, host: 10.0.0.7, port: 2222, user: cook}
groups:
  house:
    defaults: {jump: gate@10.0.0.1, profile: rpi4, limits: {memory: 512M, time: 30m}}
    boards:
      kitchen:
      attic: {host: attic.local, tags: [hot]}
    groups:
      cellar:
        defaults:
          profile: rpi5
          jump: gate@10.0.0.2:222,10.0.1.1
          tags: [dark]
        boards:
          wine: {host: wine, password: {env: WINE}, passphrase: {command: pass show wine}}
  switched:
    defaults: {power: {command: {on: "true", off: "true"}}}
    boards: {wine: }
"""


def test_a_board_comes_before_its_group_and_that_before_all(inventory: Path) -> None:
    inventory.write_text(GROUPS)
    boards = load_inventory()
    key_file = Path("/keys/boards")
    limits = Limits("512M", "30m")
    gate = (Hop("10.0.0.1", user="gate"),)
    assert boards["kitchen"] == Board(
        "kitchen",
        "rpi4",
        login=Login(Hop("10.0.0.7", 2222, "cook"), gate, key_file),
        tags=("mine",),
        groups=("house",),
        limits=limits,
    )
    assert boards["attic"] == Board(
        "attic",
        "rpi4",
        login=Login(Hop("attic.local", None, "edge"), gate, key_file),
        tags=("hot", "mine"),
        groups=("house",),
        limits=limits,
    )
    assert boards["wine"] == Board(
        "wine",
        "rpi5",
        login=Login(
            Hop("wine", None, "edge"),
            (Hop("10.0.0.2", 222, "gate"), Hop("10.0.1.1")),
            key_file,
            passphrase=Secret(command="pass show wine"),
            password=Secret(env="WINE"),
        ),
        tags=("dark", "mine"),
        groups=("cellar", "house", "switched"),
        power=Power(command=PowerCommand("true", "true")),
        limits=limits,
    )
    assert (limits.memory_bytes, limits.time_s) == (512 << 20, 1800.0)


FAULTS = {
    "no such profile": ("profile: rpi5", "profile: rpi55", 16, "did you mean 'rpi5'?"),
    "port": ("port: 2222", "port: 65536", 6, "boards.kitchen.port is 65536"),
    "port as text": ("port: 2222", "port: ssh", 6, "boards.kitchen.port is 'ssh'"),
    "an option for ssh": ("host: wine", "host: -oProxyCommand=x", 20, "wine.host"),
    "jump": ("gate@10.0.0.1,", "gate@@10.0.0.1,", 9, "house.defaults.jump"),
    "jump port": ("10.0.0.2:222,", "10.0.0.2:0,", 17, "USER@HOST:PORT"),
    "size": ("memory: 512M", "memory: much", 9, "limits.memory is 'much' (it should be a size"),
    "time": ("time: 30m", "time: 30d", 9, "limits.time is '30d' (it should be a time"),
    "one address twice": ("attic.local", "10.0.0.7, port: 2222", 12, "are those of kitchen"),
    "one address in letters": (
        "      kitchen:\n",
        "      kitchen:\n      den: {host: ATTIC.local, profile: rpi4}\n",
        13,
        "are those of den,",
    ),
    "a group inside itself": (
        "boards: {wine: }",
        "groups: {house: {groups: {switched: }}}",
        23,
        "is inside itself: house inside switched inside house",
    ),
    "groups that differ": (
        "defaults: {power",
        "defaults: {user: root, jump: other, power",
        22,
        "differs from what group cellar says, and wine is in both",
    ),
    "said twice": ("      kitchen:\n", "      kitchen: {port: 22}\n", 11, "differs from line 6"),
    "a secret": ("password: {env: WINE}", "password: hunter2", 20, "holds the secret itself"),
    "two secrets": ("{env: WINE}", "{env: WINE, command: x}", 20, "either `env: NAME` or"),
    "no way to reach it": ("host: attic.local, ", "", 12, "house.boards.attic cannot be reached"),
    "unknown key": ("host: wine,", "host: wine, hots: x,", 20, "did you mean 'host'?"),
    "Ansible's key": ("host: wine,", "ansible_host: wine,", 20, "did you mean 'host'?"),
    "power key": ('off: "true"', 'of: "true"', 22, "did you mean 'off'?"),
    "power without a way": ('power: {command: {on: "true", off: "true"}}', "power: {}", 22, "one"),
    "tag": ("tags: [hot]", "tags: [too hot]", 12, "attic.tags[0]"),
    "name": ("attic:", "at tic:", 12, "at tic"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_among_groups_names_line_key_and_mend(inventory: Path, fault: str) -> None:
    old, new, line, words = FAULTS[fault]
    assert old in GROUPS
    inventory.write_text(GROUPS.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_inventory()
    told = str(caught.value)
    assert told.startswith(f"{inventory}:{line}: "), told
    assert words in told
    assert caught.value.mend
    assert "\n" not in told
    assert "hunter2" not in told


def test_the_inventories_in_the_documentation_are_read(inventory: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-board.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    inventories = [text for text in blocks if "\nboards:" in f"\n{text}"]
    assert len(inventories) >= 2
    for text in inventories:
        inventory.write_text(text)
        assert len(load_inventory()) > 2


def test_an_alias_bomb_is_refused(inventory: Path) -> None:
    """Each line names the one before nine times: 9 ** 8 boards from a kilobyte."""
    lines = ["defaults:", "  tags: &t0 [a, a, a, a, a, a, a, a, a]", "groups:"]
    for depth in range(1, 9):
        inner = ", ".join(f"g{index}: *t{depth - 1}" for index in range(9))
        lines.append(f"  b{depth}: &t{depth} {{groups: {{{inner}}}}}")
    inventory.write_text("\n".join(lines))
    with pytest.raises(ConfigurationError, match="too many or too deeply nested values"):
        load_inventory()


def test_an_alias_of_itself_is_refused(inventory: Path) -> None:
    inventory.write_text("groups: &all {a: {groups: *all}}")
    with pytest.raises(ConfigurationError, match="too many or too deeply nested values"):
        load_inventory()
