"""What `edgetvm devices` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from edgetvm.cli.tables import add_row, fact_table, new_table

if TYPE_CHECKING:
    from edgetvm.farm import Board


def device_document(board: Board) -> dict[str, Any]:
    """`edgetvm devices show --json`. Secrets are references: there is nothing to hide."""
    document = asdict(board)
    if board.login is not None and board.login.key_file is not None:
        document["login"]["key_file"] = str(board.login.key_file)
    return document


def devices_view(boards: Sequence[Board]) -> RenderableType:
    """`edgetvm devices list`."""
    table = new_table("name", "profile", "reached by", "groups", "tags")
    for board in boards:
        add_row(
            table,
            board.name,
            board.profile,
            _reached_by(board),
            ", ".join(board.groups),
            ", ".join(board.tags),
        )
    return table


def device_view(board: Board) -> RenderableType:
    """`edgetvm devices show`."""
    login, limits = board.login, board.limits
    rows: dict[str, object] = {
        "name": board.name,
        "profile": board.profile,
        "reached by": _reached_by(board),
        "private key": login.key_file if login else None,
        "tracker": board.tracker if login else None,
        "key": board.key,
        "groups": ", ".join(board.groups),
        "tags": ", ".join(board.tags),
        "power": f"by {board.power.kind}" if board.power else None,
        "memory": f"{limits.memory} a session" if limits.memory else None,
        "time": f"{limits.time} a session" if limits.time else None,
    }
    return fact_table({name: value for name, value in rows.items() if value})


def _reached_by(board: Board) -> str:
    if board.login is None:
        return f"tracker {board.tracker}" if board.tracker else "this machine"
    jump = "".join(f" over {hop}" for hop in board.login.jump)
    return f"ssh {board.login.hop}{jump}"
