"""The selection language: which boards are meant, against a plain reading of the same words."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import NotFoundError, UsageError
from edgetvm.boards import load_profile
from edgetvm.farm import Board, find_boards, parse_selection, select

BOARDS = {
    board.name: board
    for board in (
        Board("pi-kitchen", "rpi4", tags=("wall", "lab"), groups=("house",)),
        Board("pi-attic", "rpi5", tags=("lab",), groups=("house", "upstairs")),
        Board("play", "beagleplay"),
        Board("old", "rpi3-32", tags=("wall",)),
        Board("rpi5", "x86-avx2"),
    )
}
PROFILES = {board.profile: load_profile(board.profile) for board in BOARDS.values()}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "pi-kitchen pi-attic play old rpi5"),
        ("play", "play"),
        ("pi-*", "pi-kitchen pi-attic"),
        ("pi-? old", "old"),
        ("old,pi-*", "old pi-kitchen pi-attic"),  # in the order they are named
        ("pi-attic play pi-*", "pi-attic play pi-kitchen"),
        ("house", "pi-kitchen pi-attic"),
        ("wall", "pi-kitchen old"),
        ("rpi4", "pi-kitchen"),
        ("rpi5", "rpi5"),  # a name comes before the profile
        ("house !upstairs", "pi-kitchen"),
        ("!pi-*", "play old rpi5"),
        ("arch=aarch64", "pi-kitchen pi-attic play"),
        ("arch=armv7l,x86_64", "old rpi5"),
        ("mem>=4G", "pi-kitchen pi-attic rpi5"),
        ("arch=aarch64 mem>4G", "pi-attic"),
        ("cores<=4 arch!=aarch64", "old rpi5"),
        ("tag=lab tag=wall", "pi-kitchen"),
        ("tag!=lab,wall", "play rpi5"),
        ("cpu=cortex-a7?", "pi-kitchen pi-attic"),
        ("feature=dotprod", "pi-attic"),
        ("nobody", ""),
    ],
)
def test_what_is_meant(text: str, names: str) -> None:
    assert [board.name for board in select(parse_selection(text), BOARDS)] == names.split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arhc=aarch64", "no board has 'arhc' (did you mean 'arch'?)"),
        ("mem>=lots", "'lots' is no number (write mem>=4G)"),
        ("cores>=-1", "'-1' is no number (write cores>=4)"),
        ("name>=a", "name is a text (compare it with name=… or name!=…)"),
        ("tag=", "a value is missing or odd"),
        ("tag=a,,b", "a value is missing or odd"),
        ("a;b", "'a;b' selects nothing"),
        ("=x", "'=x' selects nothing"),
        ("!", "'!' selects nothing"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_selection(text)
    assert words in str(caught.value)
    assert caught.value.mend


GLOB = st.from_regex(r"\A[a-z0-9*?-]{1,6}\Z")
VALUES = st.lists(GLOB, min_size=1, max_size=3).map(",".join)
CONDITION = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["tag", "name", "arch"]),
        st.sampled_from(["=", "!="]),
        VALUES,
    ),
    st.builds(
        "mem{}{}G".format, st.sampled_from(["=", "!=", ">=", "<=", ">", "<"]), st.integers(1, 16)
    ),
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(globs=st.lists(GLOB, max_size=3), conditions=st.lists(CONDITION, max_size=3))
def test_it_means_what_its_words_say(
    monkeypatch: pytest.MonkeyPatch, globs: list[str], conditions: list[str]
) -> None:
    # Profiles are read from their files once, and not for each of the examples.
    monkeypatch.setattr("edgetvm.farm.selection.load_profile", PROFILES.__getitem__)
    selection = parse_selection(" ".join([*globs, *conditions]))
    assert parse_selection(str(selection)) == selection
    meant = {board.name for board in select(selection, BOARDS)}
    for name, board in BOARDS.items():
        named = not globs or any(plainly_named(glob, board) for glob in globs)
        assert (name in meant) == (named and all(plainly_true(one, board) for one in conditions))


def plainly_named(glob: str, board: Board) -> bool:
    if any(fnmatchcase(name, glob) for name in BOARDS):
        return fnmatchcase(board.name, glob)
    return any(fnmatchcase(word, glob) for word in (board.profile, *board.groups, *board.tags))


def plainly_true(condition: str, board: Board) -> bool:
    profile = PROFILES[board.profile]
    key = "mem" if condition.startswith("mem") else condition.partition("=")[0].rstrip("!")
    if key == "mem":
        sign = condition[3:].rstrip("G0123456789").replace("=", "==", 1)
        sign = {"!==": "!=", ">==": ">=", "<==": "<="}.get(sign, sign)
        limit = int(condition[3:].strip("=!<>G")) * 2**30
        return bool(eval(f"{profile.memory_bytes} {sign} {limit}"))  # noqa: S307 - made above
    texts = {"tag": board.tags, "name": (board.name,), "arch": (profile.architecture,)}[key]
    globs = condition.split("=", 1)[1].split(",")
    found = any(fnmatchcase(text, glob) for text in texts for glob in globs)
    return found != ("!=" in condition)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=20) | st.text("!=<>,*[]nametg 4G", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        selection = parse_selection(text)
    except UsageError as error:
        assert error.mend
        return
    assert parse_selection(str(selection)) == selection
    select(selection, BOARDS)


def test_boards_are_found_in_the_inventory(isolated_home: Path) -> None:
    path = isolated_home / ".config/edgetvm/boards.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "boards: {a: {profile: rpi4, host: x}, b: {profile: rpi4, host: y}, "
        "c: {profile: rpi5, host: z}}"
    )
    assert [board.name for board in find_boards("rpi4")] == ["a", "b"]
    assert [board.name for board in find_boards("rpi4", most=1)] == ["a"]
    assert [board.name for board in find_boards("c")] == ["c"]
    assert [board.name for board in find_boards("arch=aarch64 !b")] == ["a", "c"]
    with pytest.raises(NotFoundError, match="'jetson-nano' is a board profile, and no board"):
        find_boards("jetson-nano")
    with pytest.raises(NotFoundError, match="no board is 'mem>=1000G'"):
        find_boards("mem>=1000G")
