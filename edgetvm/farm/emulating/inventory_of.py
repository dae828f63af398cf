"""The inventory file of emulated boards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import yaml

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.farm.emulating.board import TAG, EmulatedBoard
from edgetvm.farm.emulating.caller import hand_over

_MARK = "# Written by edgetvm farm emulate, which removes this file when it ends.\n"


@contextmanager
def written_inventory(boards: Sequence[EmulatedBoard], path: Path) -> Iterator[None]:
    """An inventory file of emulated boards, there while the block runs.

    Raises:
        UsageError: another file is there.
        StorageError: it cannot be written.
    """
    refuse_another_file(path)
    text = _MARK + inventory_text(boards)
    write_text(path, text)
    hand_over(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if path.read_text() == text:
                path.unlink()


def refuse_another_file(path: Path) -> None:
    """See that what is there, if anything, is an inventory that was written here.

    Raises:
        UsageError: it is something else.
        StorageError: it cannot be read.
    """
    with storage_errors(path):
        if path.exists() and not path.read_text(errors="replace").startswith(_MARK):
            raise UsageError(
                f"{path} is there, and is not an inventory of emulated boards",
                mend="name another file",
            )


def inventory_text(boards: Sequence[EmulatedBoard]) -> str:
    """The boards as an inventory file has them."""
    return yaml.safe_dump({"boards": dict(map(_entry, boards))}, sort_keys=False)


def _entry(board: EmulatedBoard) -> tuple[str, dict[str, object]]:
    login = board.login
    return board.name, {
        "profile": board.board.profile,
        "host": login.hop.host,
        "user": login.hop.user,
        "key_file": str(login.key_file),
        "tags": [TAG],
        "power": {"command": asdict(board.power)},
    }
