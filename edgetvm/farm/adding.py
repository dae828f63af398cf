"""A board added to the inventory file, or taken out: the other lines stay as they are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml

from edgetvm.base.errors import ConfigurationError, NotFoundError, UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.farm.inventory import LOCAL, Board, find_board, inventory_path, load_inventory


def add_board(name: str, keys: dict[str, Any]) -> tuple[Board, Path]:
    """Write a board into the inventory file, which is made if it is not there.

    Args:
        name: of the board.
        keys: of its entry, as the file writes them (`docs/reference/yaml.md`).

    Returns:
        the board as it is read again, and the file.

    Raises:
        UsageError: there is a board of that name.
        ConfigurationError: the file cannot be used, or could not be with that board.
        StorageError: the file cannot be written.
    """
    path = inventory_path()
    text = _text_without(name, path)
    new = with_board(text, name, keys, path)
    board = _tried(new, name, path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, new)
    return board, path


def remove_board(name: str) -> Path:
    """Take a board out of the inventory file.

    Returns:
        the file.

    Raises:
        NotFoundError: there is no such board in it.
        ConfigurationError: the file cannot be used, or the board stands in it in another way than
            `add_board` writes it.
        StorageError: the file cannot be written.
    """
    path = inventory_path()
    if not path.exists() or name == LOCAL.name:
        raise NotFoundError(f"no board {name!r} is in the inventory", where=str(path))
    find_board(name)
    with storage_errors(path):
        text = path.read_text()
    new = without_board(text, name)
    if new is None or name in _names(new, path):
        raise ConfigurationError(
            f"board {name} stands in braces or in a group there",
            where=str(path),
            mend="take it out by hand",
        )
    write_text(path, new)
    return path


def without_board(text: str, name: str) -> str | None:
    """The text of an inventory file without a board; None where it has no lines of its own."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return None
    for key, boards in node.value:
        if key.value != "boards" or not isinstance(boards, yaml.MappingNode) or boards.flow_style:
            continue
        for at, entry in boards.value:
            if at.value == name:
                last = max(at.end_mark.line, _last_line(entry))
                lines = text.splitlines()
                if len(boards.value) == 1:
                    lines[key.start_mark.line] = "boards: {}"
                left = [*lines[: at.start_mark.line], *lines[last + 1 :]]
                return "".join(f"{line}\n" for line in left)
    return None


def _names(text: str, path: Path) -> set[str]:
    """Of the boards of a file with that text."""
    if _is_empty(text):
        return set()
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / path.name
        aside.write_text(text)
        return set(load_inventory(aside))


def check_is_new(name: str) -> None:
    """Refuse a name that the inventory has already.

    Raises:
        UsageError: there is a board of that name.
        ConfigurationError: the file cannot be used.
    """
    _text_without(name, inventory_path())


def _text_without(name: str, path: Path) -> str:
    """The text of the file, in which there is no such board; empty where there is no file."""
    if not path.exists():
        return ""
    with storage_errors(path):
        text = path.read_text()
    if not _is_empty(text) and name in load_inventory(path):
        raise UsageError(f"there is a board {name!r} already", mend=f"edit {path}")
    return text


def _is_empty(text: str) -> bool:
    """Whether nothing but comments stands in the file."""
    return all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip())


def with_board(text: str, name: str, keys: dict[str, Any], path: Path) -> str:
    """The text of an inventory file with one board more.

    Raises:
        ConfigurationError: `boards` is not written as a block, one board below the other.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode):
        return text + "boards:\n" + "\n".join(_lines(name, keys, 2)) + "\n"
    found = {key.value: value for key, value in node.value}.get("boards")
    lines = text.splitlines()
    if found is None and not node.flow_style:
        return "\n".join([*lines, "boards:", *_lines(name, keys, 2)]) + "\n"
    empty = found.start_mark.line if found is not None and not found.value else None
    if empty is not None and lines[empty].startswith("boards: {}"):
        # As `without_board` leaves it.
        head = lines[empty].replace("{}", "", 1).rstrip()
        return "\n".join([*lines[:empty], head, *_lines(name, keys, 2), *lines[empty + 1 :]]) + "\n"
    if found is None or found.flow_style:
        entry = yaml.safe_dump({name: keys}, default_flow_style=True, width=1000).strip()
        raise ConfigurationError(
            "boards stand in braces there, where none can be added",
            where=str(path),
            mend=f"add it by hand: {entry}",
        )
    at = _last_line(found) + 1
    indent = found.value[0][0].start_mark.column
    return "\n".join([*lines[:at], *_lines(name, keys, indent), *lines[at:]]) + "\n"


def _last_line(node: yaml.Node) -> int:
    """The last line, from 0, of what a node holds; a block's own mark stands at the next key."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    end = node.end_mark
    return int(end.line if end.column else max(node.start_mark.line, end.line - 1))


def _lines(name: str, keys: dict[str, Any], indent: int) -> list[str]:
    block = yaml.safe_dump({name: keys}, sort_keys=False, width=1000)
    return [" " * indent + line for line in block.splitlines()]


def _tried(text: str, name: str, path: Path) -> Board:
    """The board as it would be read.

    Raises:
        ConfigurationError: it could not be; in the words for the file it would stand in.
    """
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / path.name
        aside.write_text(text)
        try:
            return load_inventory(aside)[name]
        except ConfigurationError as error:
            # A line that is not written yet cannot be looked at.
            where = str(path) if path.exists() else f"board {name}"
            raise ConfigurationError(error.what, where=where, mend=error.mend) from error
