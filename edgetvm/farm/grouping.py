"""What holds for each board of an inventory: its own words, its groups', everyone's.

What a board says of itself comes first, then what its groups say, then what holds for all. A group
inside another comes before that one. Two groups that are not inside each other must not say
different things of the same board, unless the board settles it. Tags add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from edgetvm.base.yamlfile import KeyPath, Located
from edgetvm.farm.inventory_file import BoardEntry, InventoryFile, places

_KEYS = tuple(one.name for one in fields(BoardEntry) if one.name != "tags")
# The group of all boards: the file itself.
_ALL = ""


@dataclass(frozen=True)
class Said:
    """A value and where it stands in the file."""

    value: Any
    at: KeyPath


@dataclass(frozen=True)
class Settled:
    """What holds for one board.

    Attributes:
        at: where it is named first.
        said: value and place of each key that anyone has set.
        groups: that it belongs to, by name, those around its groups as well.
        tags: its own and its groups'.
    """

    at: KeyPath
    said: Mapping[str, Said]
    groups: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass
class _Groups:
    """The groups of a file, gathered from all places.

    Attributes:
        around: for each group those that it stands in, and where.
        defaults: what each says.
        members: for each board the groups that name it.
        own: what each board says of itself.
    """

    around: dict[str, dict[str, KeyPath]] = field(default_factory=lambda: {_ALL: {}})
    defaults: dict[str, list[tuple[KeyPath, BoardEntry]]] = field(default_factory=dict)
    members: dict[str, dict[str, KeyPath]] = field(default_factory=dict)
    own: dict[str, list[tuple[KeyPath, BoardEntry]]] = field(default_factory=dict)


def settle(file: Located[InventoryFile]) -> dict[str, Settled]:
    """What holds for each board, by name.

    Raises:
        ConfigurationError: a group is inside itself, or one board is said different things.
    """
    groups = _gather(file)
    outer = {name: _outer(file, groups, name) for name in groups.around}
    return {name: _settled(file, groups, outer, name) for name in groups.members}


def _gather(file: Located[InventoryFile]) -> _Groups:
    groups = _Groups()
    for at, group in places(file.record):
        name = str(at[-1]) if at else _ALL
        if at:
            parent = str(at[-3]) if len(at) > 2 else _ALL
            groups.around.setdefault(name, {}).setdefault(parent, at)
        if group.defaults is not None:
            groups.defaults.setdefault(name, []).append(((*at, "defaults"), group.defaults))
        for board, entry in group.boards.items():
            place: KeyPath = (*at, "boards", board)
            groups.members.setdefault(board, {}).setdefault(name, place)
            groups.own.setdefault(board, []).append((place, entry or BoardEntry()))
    return groups


def _outer(file: Located[InventoryFile], groups: _Groups, name: str) -> frozenset[str]:
    """The groups around a group, directly or not."""
    found: set[str] = set()
    chain = [name]

    def visit(inner: str) -> None:
        for around, at in groups.around[inner].items():
            if around == name:
                told = " inside ".join([*chain, name])
                raise file.refusal(at, f"is inside itself: {told}", "take it out of one of them")
            if around not in found:
                found.add(around)
                chain.append(around)
                visit(around)
                chain.pop()

    visit(name)
    return frozenset(found)


def _settled(
    file: Located[InventoryFile],
    groups: _Groups,
    outer: Mapping[str, frozenset[str]],
    board: str,
) -> Settled:
    direct = set(groups.members[board])
    names = sorted(direct.union(*(outer[name] for name in direct)) - {_ALL})
    said: dict[str, Said] = {}
    for key in _KEYS:
        found = _own(file, groups.own[board], key) or _of_groups(
            file, groups, outer, [*names, _ALL], board, key
        )
        if found is not None:
            said[key] = found
    entries = [entry for _, entry in groups.own[board]]
    entries += [entry for name in [*names, _ALL] for _, entry in groups.defaults.get(name, [])]
    tags = tuple(sorted({tag for entry in entries for tag in entry.tags}))
    return Settled(groups.own[board][0][0], said, tuple(names), tags)


def _own(
    file: Located[InventoryFile], entries: list[tuple[KeyPath, BoardEntry]], key: str
) -> Said | None:
    """What a board, or one group, says itself in all its places."""
    said = [
        Said(getattr(entry, key), (*at, key))
        for at, entry in entries
        if getattr(entry, key) is not None
    ]
    for other in said[1:]:
        if other.value != said[0].value:
            line = file.lines.get(said[0].at, 1)
            raise file.refusal(other.at, f"differs from line {line}", "say it once")
    return said[0] if said else None


def _of_groups(
    file: Located[InventoryFile],
    groups: _Groups,
    outer: Mapping[str, frozenset[str]],
    names: list[str],
    board: str,
    key: str,
) -> Said | None:
    """What the innermost groups say."""
    said = {
        name: found
        for name in names
        if (found := _own(file, groups.defaults.get(name, []), key)) is not None
    }
    innermost = [name for name in said if not any(name in outer[other] for other in said)]
    values = [said[name] for name in innermost]
    for name, other in zip(innermost[1:], values[1:], strict=True):
        if other.value != values[0].value:
            raise file.refusal(
                other.at,
                f"differs from what group {innermost[0]} says, and {board} is in both",
                f"say {key} at {board} itself, or put group {name} inside {innermost[0]}",
            )
    return values[0] if values else None
