"""Part board: trials a minute on a board with cores of its own, edgetvm's and stock's.

The board is emulated: whatever it is given takes a moment and no processor. Compared is all that
goes on around it on this machine, which is what bounds a search on a quick board: searching,
building for it, sending, keeping.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.latency.rounds import say
from benchmarks.tuning import boards, rivals
from benchmarks.tuning.emulated_board import built_sleeper, emulated_boards
from benchmarks.tuning.figures import Part
from edgetvm.boards.profile import load_profile
from edgetvm.farm import Address

_KEY = "emulated"
_SLEEP_MS = 0.1
# It is ended by time.
_MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        name, model: that is tuned, and its file.
        minutes, stock_minutes: of edgetvm's search, and of MetaSchedule's.
        per_iteration: trials in a lot of stock.
        profile: that candidates are built for.
    """

    name: str
    model: Path
    minutes: float
    stock_minutes: float
    per_iteration: int
    profile: str = "rpi4"


def run(plan: Plan) -> Part:
    """One after the other, on the same server."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sleeper = built_sleeper(folder, _SLEEP_MS)
        with emulated_boards(1, _KEY, sleeper) as tracker:
            say(f"board: edgetvm on {plan.name}")
            ours = _ours(plan, tracker, folder)
            say(f"board: {ours.per_minute:.1f} trials a minute; now stock")
            threads = load_profile(plan.profile).cores
            board = rivals.Board(tracker, _KEY, plan.profile, threads)
            minutes = plan.stock_minutes
            stock = rivals.search_stock(
                plan.model, board, minutes, 60 * minutes, plan.per_iteration, folder
            )
            say(f"board: {stock.per_minute:.1f} trials a minute")
    return rivals.rate(plan.name, ours, stock, "board_trials_per_minute_ratio")


def _ours(plan: Plan, tracker: Address, folder: Path) -> rivals.Searched:
    database = folder / "ours.sqlite"
    command = [sys.executable, "-m", boards.__name__, str(plan.model), plan.profile]
    command += [str(tracker), "1", str(_MOST_TRIALS), str(database)]
    began_at = time.time()
    with (folder / "ours.log").open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    return rivals.ended_after(process, began_at, plan.minutes, 60 * plan.minutes, database)
