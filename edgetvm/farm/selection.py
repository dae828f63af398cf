"""Which boards are meant: `pi* !kitchen arch=aarch64 mem>=4G`.

    SELECTION = WORD …            with blanks between
    WORD      = GLOB,…            boards of that name; else of that profile, group or tag
              | !GLOB,…           none of these
              | KEY=GLOB,…        whose value is one of them
              | KEY!=GLOB,…       whose value is none of them
              | KEY>=NUMBER       and <=, >, <

Several globs add up; each condition takes away.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from edgetvm.base.errors import NotFoundError, UsageError
from edgetvm.base.units import parse_bytes
from edgetvm.base.yamlfile import nearest
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.farm.inventory import Board, find_board, load_inventory

_CONDITION = re.compile(r"(?P<key>[A-Za-z_]+)(?P<sign>!=|>=|<=|=|>|<)(?P<value>.*)", re.ASCII)
_GLOB = re.compile(r"[\w.*?\[\]!+-]+")
_WORD = re.compile(r"!?[\w.*?\[\]+-]+(,[\w.*?\[\]+-]+)*")

_EVERY = ("*",)

_TEXTS: dict[str, Callable[[Board, BoardProfile], Iterable[str]]] = {
    "name": lambda board, _: (board.name,),
    "profile": lambda board, _: (board.profile,),
    "group": lambda board, _: board.groups,
    "tag": lambda board, _: board.tags,
    "arch": lambda _, profile: (profile.architecture,),
    "cpu": lambda _, profile: (profile.cpu,),
    "feature": lambda _, profile: (one[1:] for one in profile.features if one[0] == "+"),
}
_NUMBERS: dict[str, Callable[[BoardProfile], int]] = {
    "cores": lambda profile: profile.cores,
    "lanes": lambda profile: profile.vector_lanes,
    "mem": lambda profile: profile.memory_bytes,
    "mhz": lambda profile: profile.clock_mhz,
}
_SIGNS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Condition:
    """One comparison; the values of a text key are globs, of which one must match."""

    key: str
    sign: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}{self.sign}{','.join(self.values)}"

    def holds(self, board: Board, profile: BoardProfile) -> bool:
        """Whether it is true of a board."""
        if self.key in _NUMBERS:
            return _SIGNS[self.sign](_NUMBERS[self.key](profile), _number(self.key, self.values[0]))
        texts = list(_TEXTS[self.key](board, profile))
        found = any(fnmatchcase(text, glob) for text in texts for glob in self.values)
        return found == (self.sign == "=")


@dataclass(frozen=True)
class Selection:
    """A selection, parsed."""

    globs: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        words = [*self.globs, *(f"!{glob}" for glob in self.refused), *map(str, self.conditions)]
        return " ".join(words)


def parse_selection(text: str) -> Selection:
    """Read a selection. Nothing selects all boards.

    Raises:
        UsageError: it cannot be read; names the word and the mend.
    """
    globs, refused, conditions = [], [], []
    for word in text.split():
        if found := _CONDITION.fullmatch(word):
            conditions.append(_condition(word, *found.group("key", "sign", "value")))
        elif not _WORD.fullmatch(word):
            raise UsageError(
                f"{word!r} selects nothing",
                mend="write a name, a glob, or KEY=VALUE",
            )
        elif word.startswith("!"):
            refused += word[1:].split(",")
        else:
            globs += word.split(",")
    return Selection(tuple(globs), tuple(refused), tuple(conditions))


def _condition(word: str, key: str, sign: str, value: str) -> Condition:
    known = [*_TEXTS, *_NUMBERS]
    if key not in known:
        raise UsageError(f"{word!r}: no board has {key!r}", mend=nearest(key, known))
    if key in _NUMBERS:
        try:
            _number(key, value)
        except ValueError as error:
            example = "4G" if key == "mem" else "4"
            raise UsageError(
                f"{word!r}: {value!r} is no number", mend=f"write {key}{sign}{example}"
            ) from error
        return Condition(key, sign, (value,))
    if sign not in ("=", "!="):
        raise UsageError(f"{word!r}: {key} is a text", mend=f"compare it with {key}=… or {key}!=…")
    values = tuple(value.split(","))
    if not all(_GLOB.fullmatch(one) for one in values):
        raise UsageError(f"{word!r}: a value is missing or odd", mend=f"write {key}=NAME,NAME")
    return Condition(key, sign, values)


def _number(key: str, text: str) -> int:
    if key == "mem":
        return parse_bytes(text)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def select(selection: Selection, boards: Mapping[str, Board]) -> list[Board]:
    """The boards that are meant, in the order of the globs; those of one in the inventory's.

    Raises:
        ConfigurationError: the profile of one of them cannot be used.
    """
    meant = {
        board.name: board for glob in selection.globs or _EVERY for board in _matching(glob, boards)
    }
    others = {board.name for glob in selection.refused for board in _matching(glob, boards)}
    found = [board for name, board in meant.items() if name not in others]
    if not selection.conditions:
        return found
    profiles = {name: load_profile(name) for name in {board.profile for board in found}}
    return [
        board
        for board in found
        if all(one.holds(board, profiles[board.profile]) for one in selection.conditions)
    ]


def _matching(glob: str, boards: Mapping[str, Board]) -> list[Board]:
    by_name = [board for name, board in boards.items() if fnmatchcase(name, glob)]
    return by_name or [
        board
        for board in boards.values()
        if any(fnmatchcase(word, glob) for word in (board.profile, *board.groups, *board.tags))
    ]


def find_boards(text: str, most: int | None = None) -> list[Board]:
    """The boards of the inventory that a selection means.

    Args:
        text: a name, or a selection.
        most: so many at most, unless the text is one board's name.

    Raises:
        UsageError: the selection cannot be read.
        NotFoundError: it means no board; says so when it is the name of a profile.
        ConfigurationError: the inventory, or a profile, cannot be read.
    """
    selection, boards = parse_selection(text), load_inventory()
    for glob in selection.globs:
        if not _matching(glob, boards):
            find_board(glob)  # tells what may have been meant
    found = select(selection, boards)
    if not found:
        raise NotFoundError(f"no board is {text!r}", mend="see: edgetvm devices list")
    return found[:most]
