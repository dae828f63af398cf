"""Everything that touches a board: inventory, tracker, servers, sessions."""

from edgetvm.farm.inventory import Board, find_board, find_boards, load_inventory
from edgetvm.farm.local import LocalBoard
from edgetvm.farm.session import BoardSession, connect, connected, standing
from edgetvm.farm.tracker_client import Address, request_board, tracker_summary

__all__ = [
    "Address",
    "Board",
    "BoardSession",
    "LocalBoard",
    "connect",
    "connected",
    "find_board",
    "find_boards",
    "load_inventory",
    "request_board",
    "standing",
    "tracker_summary",
]
