"""Part suite: the models of benchmarks.latency, tuned in so many minutes in all, and their peers.

The tuning is one process. Then benchmarks.latency measures what came of it, as it measures all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.latency.figures import geometric_mean
from benchmarks.latency.prepare import prepared
from benchmarks.latency.rounds import say
from benchmarks.latency.suite import chosen
from benchmarks.tuning.figures import Part
from edgetvm.measure.peers.case import Unavailable

# What tuning may take beyond its time: a last turn that began before its end.
_GRACE_S = 600
_LATENCY_TIMEOUT_S = 4 * 3600


@dataclass(frozen=True)
class Plan:
    """What is tuned.

    Attributes:
        models: names and globs, as benchmarks.latency takes them; all of its suite if empty.
        minutes: of tuning in all.
        threads: that models run on; as many as this machine has cores, for which tuning is.
        folder: with the prepared models.
        database: for the trials; a new one that is thrown away without it.
        rounds: of benchmarks.latency.
    """

    models: tuple[str, ...]
    minutes: float
    threads: int
    folder: Path
    database: Path | None = None
    rounds: int = 3


def run(plan: Plan) -> Part:
    """Tune, then measure."""
    files = {}
    for entry in chosen(list(plan.models)):
        try:
            files[entry.name] = prepared(entry, plan.folder).file
        except Unavailable as error:
            say(f"{entry.name}: left out: {error}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        database = plan.database or folder / "suite.sqlite"
        turns = _tuned(plan, list(files.values()), database, folder / "turns.json")
        latency = _measured(plan, list(files), database, folder / "latency.json")
    ratios = tuned_ratios(latency["rows"])
    kinds = {one["model"]: one["kind"] for one in latency["rows"]}
    raw = {
        "minutes": plan.minutes,
        "turns": turns,
        "latency": latency,
        "ratios": ratios,
        "geomeans": {
            kind: geometric_mean(ratio for name, ratio in ratios.items() if kinds[name] == kind)
            for kind in ("fp32", "int8")
        },
    }
    return Part({"geomean_tuned_30min": geometric_mean(ratios.values())}, raw)


def tuned_ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Tuned latency over the fastest peer's, by model; infinite where ours failed. From the JSON of
    benchmarks.latency, which writes what is not finite as text."""
    return {
        one["model"]: float(one["tuned_ratio"]) for one in rows if one["tuned_ratio"] is not None
    }


def _tuned(plan: Plan, files: list[Path], database: Path, notes: Path) -> list[dict[str, Any]]:
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.tuning.suite_tuner"),
            *(str(plan.minutes), str(database), str(notes), *map(str, files)),
        ],
        check=True,
        timeout=60 * plan.minutes + _GRACE_S,
    )
    turns: list[dict[str, Any]] = json.loads(notes.read_text())
    return turns


def _measured(plan: Plan, names: list[str], database: Path, file: Path) -> dict[str, Any]:
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.latency", "--models", ",".join(names)),
            *("--engines", "edgetvm,edgetvm-tuned,onnxruntime,litert,openvino,ncnn,mnn"),
            *("--threads", str(plan.threads), "--rounds", str(plan.rounds)),
            *("--tuning-database", str(database), "--json", str(file)),
            *("--folder", str(plan.folder)),
        ],
        check=True,
        timeout=_LATENCY_TIMEOUT_S,
    )
    measured: dict[str, Any] = json.loads(file.read_text())
    return measured
