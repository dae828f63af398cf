"""Everything that touches a board: inventory, SSH, facts, power, tracker, servers, sessions.

Each name is imported when it is first used: what asks a board for its facts needs no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgetvm.farm.adding import add_board
    from edgetvm.farm.hands import any_in_hand, in_hand
    from edgetvm.farm.inventory import Board, find_board, load_inventory
    from edgetvm.farm.jobs import run_job
    from edgetvm.farm.linking import linked
    from edgetvm.farm.local import LocalBoard
    from edgetvm.farm.program import board_program
    from edgetvm.farm.selection import find_boards, parse_selection, select
    from edgetvm.farm.session import BoardSession, connect
    from edgetvm.farm.standing_boards import all_standing, connected, standing
    from edgetvm.farm.tracker_client import Address, request_board, tracker_summary

_MODULE_OF = {
    "Address": "tracker_client",
    "Board": "inventory",
    "BoardSession": "session",
    "LocalBoard": "local",
    "add_board": "adding",
    "any_in_hand": "hands",
    "all_standing": "standing_boards",
    "board_program": "program",
    "connect": "session",
    "connected": "standing_boards",
    "find_board": "inventory",
    "find_boards": "selection",
    "linked": "linking",
    "in_hand": "hands",
    "load_inventory": "inventory",
    "parse_selection": "selection",
    "request_board": "tracker_client",
    "run_job": "jobs",
    "select": "selection",
    "standing": "standing_boards",
    "tracker_summary": "tracker_client",
}

__all__ = [
    "Address",
    "Board",
    "BoardSession",
    "LocalBoard",
    "add_board",
    "all_standing",
    "any_in_hand",
    "board_program",
    "connect",
    "connected",
    "find_board",
    "find_boards",
    "in_hand",
    "linked",
    "load_inventory",
    "parse_selection",
    "request_board",
    "run_job",
    "select",
    "standing",
    "tracker_summary",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edgetvm.farm' has no attribute {name!r}")
    return getattr(import_module(f"edgetvm.farm.{_MODULE_OF[name]}"), name)
