"""Boards added to an inventory file, whose other lines stay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError, NotFoundError, UsageError
from edgetvm.farm import add_board, load_inventory
from edgetvm.farm.adding import remove_board, with_board
from edgetvm.farm.inventory import LOCAL

KEYS = {"profile": "rpi4", "host": "10.0.0.9"}
FILES = {
    "empty": "",
    "comments": "# mine\n",
    "one": "boards:\n  a:\n    profile: rpi4  # four\n    host: x\n",
    "wide": "boards:\n      a: {profile: rpi4, host: x}\n      # the last\n",
    "more below": "# c\nboards:\n  a:\n    profile: rpi4\n    host: x\n\n# d\ngroups:\n  g: {}\n",
    "lists": "boards:\n  a:\n    profile: rpi4\n    host: x\n    tags:\n    - b\n    - c\n",
    "quoted": 'boards:\n  a:\n    profile: rpi4\n    host: "x"',
    "block text": "boards:\n  a:\n    profile: rpi4\n    host: >-\n      x\n\ngroups: {}\n",
    "nothing": "groups:\n  g: {boards: {a: {profile: rpi4, host: x}}}\nboards:\n  a:\n",
    "no boards": "defaults: {user: edge}\n",
}


@pytest.mark.parametrize("kind", FILES)
def test_a_board_is_added_and_nothing_else_changes(isolated_home: Path, kind: str) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    before = {"local": LOCAL}
    if kind != "empty":
        path.write_text(FILES[kind])
        before = load_inventory() if ":" in FILES[kind] else before
    board, written = add_board("new", KEYS)
    assert written == path
    lines = path.read_text().splitlines()
    assert load_inventory() == {**before, "new": board}
    assert (board.name, board.profile) == ("new", "rpi4")
    kept = iter(lines)
    assert all(line in kept for line in FILES[kind].splitlines()), lines
    assert len(lines) in (len(FILES[kind].splitlines()) + 3, len(FILES[kind].splitlines()) + 4)
    with pytest.raises(UsageError, match="there is a board 'new' already"):
        add_board("new", KEYS)
    assert path.read_text().splitlines() == lines
    assert remove_board("new") == path
    left = path.read_text().splitlines()
    assert [line for line in left if line != "boards: {}"] == FILES[kind].splitlines()
    assert load_inventory() == before
    assert add_board("new", KEYS)[0] == board
    remove_board("new")
    with pytest.raises(NotFoundError):
        remove_board("new")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.from_regex(r"\A[a-z]{1,4}\Z"), unique=True, max_size=4),
    st.sampled_from(["", "# c\n", "\n"]),
    st.integers(1, 6),
)
def test_names_stay_in_order(names: list[str], between: str, indent: int) -> None:
    entries = [f"{' ' * indent}{name}:\n{' ' * indent} host: x\n{between}" for name in names]
    text = "boards:\n" + "".join(entries) + "groups: {}\n" if names else ""
    new = with_board(text, "new", KEYS, Path("boards.yaml"))
    heads = re.findall(r"^ +(\w+):$", new, re.MULTILINE)
    assert heads == [*names, "new"]


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("new", {**KEYS, "profile": "rpi44"}, "boards.new.profile is 'rpi44'"),
        ("new", {**KEYS, "host": "x"}, "boards.new.host and port are those of a, too"),
        ("local", KEYS, "there is a board 'local' already"),
        ("two words", KEYS, "two words"),
    ],
)
def test_what_could_not_be_read_is_not_written(
    isolated_home: Path, name: str, keys: dict[str, str], words: str
) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(FILES["one"])
    with pytest.raises((ConfigurationError, UsageError)) as caught:
        add_board(name, keys)
    assert words in str(caught.value)
    assert "/tmp" not in str(caught.value).replace(str(isolated_home), "")
    assert path.read_text() == FILES["one"]


def test_where_there_is_no_file_no_line_of_it_is_named(isolated_home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^board new: .*rpi44") as caught:
        add_board("new", {**KEYS, "profile": "rpi44"})
    assert caught.value.where == "board new"
    with pytest.raises(NotFoundError, match="no board 'new'"):
        remove_board("new")


@pytest.mark.parametrize("kind", ["nothing", "braces", "only"])
def test_only_lines_of_its_own_are_taken_out(isolated_home: Path, kind: str) -> None:
    braces = "boards: {a: {profile: rpi4, host: x}}\n"
    only = "boards:\n  a:\n    profile: rpi4\n    host: x\n"
    text = {**FILES, "braces": braces, "only": only}[kind]
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    if kind == "only":
        remove_board("a")
        assert path.read_text() == "boards: {}\n"
        assert [*load_inventory()] == ["local"]
        return
    with pytest.raises(ConfigurationError, match="by hand"):
        remove_board("a")
    assert path.read_text() == text


def test_boards_in_braces_are_left_to_the_user(isolated_home: Path) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("boards: {a: {profile: rpi4, host: x}}\n")
    with pytest.raises(ConfigurationError, match=r"add it by hand: \{new: \{host: 10.0.0.9"):
        add_board("new", KEYS)
