"""Part parity: how long until the model is as fast as ONNX Runtime, by either tuner.

For edgetvm no tuning may be needed; then it is the time of `edgetvm compile`. For a database, it is
the time of the search until it was so, and of compiling with it. All that is compared runs in one
round of benchmarks.latency, where the engines take turns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.latency.case import OwnTask, Timings
from benchmarks.latency.engines import ENGINES_MODULE, engine_called, settings
from benchmarks.latency.engines.naive_tvm import METASCHEDULE
from benchmarks.latency.machine import Peak
from benchmarks.latency.results import wrong_answer
from benchmarks.latency.rounds import Plan as Rounds
from benchmarks.latency.rounds import measure, say
from benchmarks.tuning.figures import Part, spread
from benchmarks.tuning.processes import finished
from benchmarks.tuning.rivals import Searched
from edgetvm.measure.peers import crew
from edgetvm.measure.peers.answers import TOLERANCE, answer_error
from edgetvm.measure.peers.case import Case, Task

_RIVAL = "onnxruntime"
_MOST_COPIES = 4
_LOAD_TIMEOUT_S = 900
_ROUNDS = Rounds(rounds=5, seconds=0.3, least=20, patience_s=60)


@dataclass(frozen=True)
class Point:
    """A model's latency so long after its command began."""

    at_s: float
    latency_ms: float


@dataclass(frozen=True)
class Reached:
    """When a curve reached a latency; where it did not, the last time it was looked at."""

    at_s: float
    yes: bool


def reached(curve: Iterable[Point], latency_ms: float, limit_s: float) -> Reached:
    """The first point of a curve that is as fast as that."""
    for point in sorted(curve, key=lambda one: one.at_s):
        if point.latency_ms <= latency_ms:
            return Reached(point.at_s, True)
    return Reached(limit_s, False)


def ratio_of(ours: Reached, stock: Reached) -> tuple[float, str]:
    """Our time over stock's, and the bound that it is: `<=` where stock has not arrived."""
    if not ours.yes:
        return (math.inf, "") if stock.yes else (math.nan, "")
    return ours.at_s / stock.at_s, "" if stock.yes else "<="


@dataclass(frozen=True)
class _Contender:
    """Something to time: `rival`, `ours` or `stock`, and when its search had come so far."""

    side: str
    at_s: float
    task: Task


def run(
    case: Case, threads: int, folder: Path, ours: Searched, stock: Searched, scratch: Path
) -> Part:
    """Measure what was reached when.

    Args:
        case: the model.
        threads: of all engines.
        folder: with prepared models and engines.
        ours: search of edgetvm.
        stock: of MetaSchedule.
        scratch: a folder for what is made here.
    """
    command = ["compile", str(case.file), "-o", str(scratch / "model.so")]
    compile_s = finished(command, scratch / "compile.log", _LOAD_TIMEOUT_S)
    timed = _timed(_contenders(case, threads, folder, ours, stock), threads, folder)
    rival_ms = min((ms for one, ms, _ in timed if one.side == "rival"), default=math.nan)
    mine = [Point(one.at_s + compile_s, ms) for one, ms, _ in timed if one.side == "ours"]
    others = [Point(one.at_s + built_s, ms) for one, ms, built_s in timed if one.side == "stock"]
    by_us = reached(mine, rival_ms, ours.took_s)
    by_stock = reached(others, rival_ms, stock.took_s)
    ratio, bound = ratio_of(by_us, by_stock)
    raw = {
        "model": case.name,
        "threads": threads,
        "rival_ms": rival_ms,
        "compile_s": compile_s,
        "ours": [asdict(one) for one in mine],
        "stock": [asdict(one) for one in others],
        "reached": {"ours": asdict(by_us), "stock": asdict(by_stock)},
    }
    return Part({"time_to_parity_ratio": ratio}, raw, {"time_to_parity_ratio": bound})


def _contenders(
    case: Case, threads: int, folder: Path, ours: Searched, stock: Searched
) -> list[_Contender]:
    found = [
        _Contender("rival", 0.0, Task(_RIVAL, setting, case, threads))
        for setting in settings(engine_called(_RIVAL), case, threads)
    ]
    found.append(_Contender("ours", 0.0, OwnTask("edgetvm", "", case, threads)))
    tuned = settings(engine_called("edgetvm-tuned"), case, threads)
    for side, engine, names, snapshots in (
        ("ours", "edgetvm-tuned", tuned, ours.snapshots),
        ("stock", "tvm", (METASCHEDULE,), stock.snapshots),
    ):
        for name, at in itertools.product(names, spread(snapshots, _MOST_COPIES)):
            task = OwnTask(engine, name, case, threads, at.path)
            found.append(_Contender(side, at.at_s, task))
    return found


def _timed(
    contenders: list[_Contender], threads: int, folder: Path
) -> list[tuple[_Contender, float, float]]:
    """Those that answer rightly, with their median latency and the time of compiling."""
    by_task = {id(one.task): one for one in contenders}
    timings = {id(one.task): Timings(one.task) for one in contenders}
    # One after the other: their time of compiling counts.
    workers = crew.start(
        [one.task for one in contenders],
        1,
        _LOAD_TIMEOUT_S,
        lambda task, why: say(f"{task}: {why}"),
        ENGINES_MODULE,
    )
    try:
        right = [one for one in workers if _is_right(one)]
        peak = Peak(folder)
        mine = {one: timings[id(one.task)] for one in right}
        measure(right, mine, _ROUNDS, peak, peak.roof(threads))
    finally:
        crew.end(workers)
    return [
        (by_task[id(one.task)], _median_ms(found), float(one.facts.get("compile_s", 0.0)))
        for one, found in mine.items()
        if found.samples_ns or found.disturbed_ns
    ]


def _is_right(worker: crew.Worker) -> bool:
    case = worker.task.case
    error = answer_error(worker.answers, case.expected())
    if error > TOLERANCE[case.kind]:
        say(f"{worker.task.title}: left out: {wrong_answer(error)}")
    return error <= TOLERANCE[case.kind]


def _median_ms(timings: Timings) -> float:
    return median(timings.samples_ns or timings.disturbed_ns) / 1e6
