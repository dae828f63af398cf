"""Everything that touches a board: inventory, tracker, servers, sessions."""

from edgetvm.farm.adding import add_board
from edgetvm.farm.inventory import Board, find_board, load_inventory
from edgetvm.farm.local import LocalBoard
from edgetvm.farm.selection import find_boards, parse_selection, select
from edgetvm.farm.session import BoardSession, connect, connected, standing
from edgetvm.farm.tracker_client import Address, request_board, tracker_summary

__all__ = [
    "Address",
    "Board",
    "BoardSession",
    "LocalBoard",
    "add_board",
    "connect",
    "connected",
    "find_board",
    "find_boards",
    "load_inventory",
    "parse_selection",
    "request_board",
    "select",
    "standing",
    "tracker_summary",
]
