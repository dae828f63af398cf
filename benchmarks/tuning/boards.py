"""Part boards: how a search's throughput grows with the number of boards.

The boards are emulated: separate servers whose candidates sleep. What is measured is edgetvm's loop
around them: searching, building for the profile, sessions, keeping trials.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.tuning.emulated_board import built_sleeper, emulated_boards
from benchmarks.tuning.figures import Part, rate_per_minute
from edgetvm.base.workers import end_with_owner

_KEY = "emulated"
_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        model: file that is tuned.
        profile: that candidates are built for.
        boards: to compare with one.
        trials: for each board.
        sleep_ms: that a kernel takes.
    """

    model: Path
    profile: str = "rpi4"
    boards: int = 8
    trials: int = 60
    sleep_ms: float = 100.0


def run(plan: Plan) -> Part:
    """One board, then all of them."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        sleeper = built_sleeper(folder, plan.sleep_ms)
        found = [_throughput(plan, count, sleeper, folder) for count in (1, plan.boards)]
    one, all_ = (rate_per_minute(each["measured_at"]) for each in found)
    return Part({"boards8_scaling": all_ / one}, {"plan": asdict(plan), "runs": found})


def _throughput(plan: Plan, count: int, sleeper: Path, folder: Path) -> dict[str, Any]:
    database = folder / f"{count}.sqlite"
    with emulated_boards(count, _KEY, sleeper) as tracker:
        subprocess.run(
            [
                *(sys.executable, "-m", __spec__.name, str(plan.model), plan.profile),
                *(str(tracker), str(count), str(count * plan.trials), str(database)),
            ],
            check=True,
            timeout=_TIMEOUT_S,
        )
    with closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("SELECT measured_at, outcome, board FROM trials ORDER BY id")
        times, outcomes, boards = zip(*rows, strict=True)
    return {
        "boards": count,
        "measured_at": list(times),
        "outcomes": {one: outcomes.count(one) for one in set(outcomes)},
        "trials_of_boards": {one: boards.count(one) for one in sorted(set(boards))},
    }


def main() -> None:
    """In the process that tunes: MODEL PROFILE TRACKER BOARDS TRIALS DATABASE."""
    end_with_owner()
    from edgetvm.boards.profile import load_profile
    from edgetvm.farm import Address, Board
    from edgetvm.models import import_model
    from edgetvm.tune import Budget, TuningDatabase
    from edgetvm.tune.tuning import tune_model

    model, profile, tracker, count, trials, database = sys.argv[1:]
    boards = [Board("emulated", profile, Address.parse(tracker), _KEY) for _ in range(int(count))]
    with TuningDatabase(Path(database)) as opened:
        tune_model(
            import_model(Path(model)),
            load_profile(profile),
            boards,
            opened,
            Budget(trials=int(trials), until_flat=False),
        )


if __name__ == "__main__":
    main()
