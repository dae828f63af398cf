"""A farm's daemon whose boards are behind proxies; what befalls these comes as lines on stdin."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from benchmarks.farm.program_boards import PROFILE, ProgramBoard
from benchmarks.farm.proxy import NONE, Trouble
from edgetvm.farm.inventory import Board
from edgetvm.farm.keeping.daemon import Daemon
from edgetvm.farm.keeping.keeper import Times
from edgetvm.farm.keeping.ladder import Rung
from edgetvm.farm.leases import LeaseStore
from edgetvm.farm.tracker_client import Address

NAME = "benchmark"
# Under faults a board is given up, and tried again, so much sooner than in a real farm.
_HASTY = Times(proof_age_s=2.0, proof_s=3.0, serve_s=8.0, lost_s=6.0, bad_pause_s=2.0)
_LADDER = (
    Rung("reconnect", lambda way, deadline_s: way.reconnect(deadline_s), 8, 1, 0.2),
    Rung("restart the server", lambda way, deadline_s: None, 8, 2, 0.2),
    Rung("end stray processes", lambda way, deadline_s: way.end_strays(deadline_s), 8, 1, 0.2),
)


def _obey(ways: dict[str, ProgramBoard]) -> None:
    for line in sys.stdin:
        told = json.loads(line)
        proxy = ways[told["board"]].proxy
        if told.get("reset"):
            proxy.reset()
        else:
            proxy.trouble = Trouble(**told["trouble"]) if told["trouble"] else NONE
    signal.raise_signal(signal.SIGTERM)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("boards", nargs="+")
    parser.add_argument("--hasty", action="store_true")
    told = parser.parse_args()
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s",
        level=logging.INFO,
        filename=told.folder / "daemon.log",
    )
    ways: dict[str, ProgramBoard] = {}

    def way(board: Board, tracker: Address) -> ProgramBoard:
        ways[board.name] = ProgramBoard(board, tracker, told.folder)
        return ways[board.name]

    with LeaseStore(told.url) as store:
        boards = [Board(name, PROFILE) for name in told.boards]
        daemon = Daemon(
            NAME, boards, store, way=way, times=_HASTY if told.hasty else None, ladder=_LADDER
        )
        signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
        threading.Thread(target=_obey, args=(ways,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            daemon.run()
        for one in ways.values():
            one.finish()


if __name__ == "__main__":
    main()
