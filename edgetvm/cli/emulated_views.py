"""What `edgetvm farm emulate` shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from edgetvm.farm.emulating import EmulatedBoard

_HOW_TO = """\
{names}: up, and gone with Ctrl-C. In another terminal:

  export EDGETVM_INVENTORY={path}
  edgetvm devices check --accept-new-host-key
  edgetvm provision
  edgetvm devices ssh {first}

What is measured on them says nothing about real boards."""


def emulated_view(boards: Sequence[EmulatedBoard], path: Path) -> Text:
    """What to do with emulated boards."""
    names = ", ".join(board.name for board in boards)
    return Text(_HOW_TO.format(names=names, path=quote(str(path)), first=boards[0].name))


def emulated_document(boards: Sequence[EmulatedBoard], path: Path) -> dict[str, Any]:
    """Emulated boards as JSON."""
    return {
        "inventory": str(path),
        "boards": [
            {"name": one.name, "profile": one.board.profile, "host": one.address} for one in boards
        ],
    }
