"""Tuning beside TVM's own: `python -m benchmarks.tuning`.

Six parts, each of which `--parts` may pick:

- rate: trials a minute of `edgetvm tune` and of stock `ms.relax_integration.tune_relax`, on one
  model, one after the other.
- board: the same on a board with cores of its own, an emulated one that takes no time.
- parity: how long either takes until the model is as fast as in ONNX Runtime.
- suite: the models of benchmarks.latency, tuned in 30 minutes in all, over their fastest peers.
- boards: how much faster a search is on eight emulated boards than on one.
- kills: `kill -9` of a whole tuning at a hundred random instants, and what is left after each.

It ends with `result: trials_per_minute_ratio=… board_trials_per_minute_ratio=…
time_to_parity_ratio=… geomean_tuned_30min=… boards8_scaling=… kills=… lost_trials=…`; `nan` for a
part that was not run, `<=` before a bound.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.latency.machine import cpu_name
from benchmarks.latency.prepare import prepared
from benchmarks.latency.rounds import say
from benchmarks.latency.suite import chosen
from benchmarks.tuning import board_rate, boards, kills, parity, rivals, suite
from benchmarks.tuning.figures import Part, result_line
from edgetvm.farm import LocalBoard
from edgetvm.measure.peers.case import Case, Unavailable

_RESULTS = Path(__file__).resolve().parent.parent / "results"
_COPIES = 12
# Of stock on the emulated board: it has no parity to reach there.
_BOARD_MINUTES = 6.0
PARTS = ("rate", "parity", "board", "suite", "boards", "kills")


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _parts(text: str) -> list[str]:
    words = _words(text)
    unknown = sorted(set(words) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no part is called {unknown[0]}: {', '.join(PARTS)}")
    return words


def _options() -> argparse.Namespace:
    from edgetvm.base.paths import cache_folder

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuning", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--parts", default=list(PARTS), metavar="A,B", help=",".join(PARTS), type=_parts)
    add("--model", default="mobilenetv2", metavar="NAME", help="of rate, parity and board")
    add("--threads", type=int, default=_cores(), metavar="N", help="that it runs on there")
    add("--rate-minutes", type=float, default=3, metavar="M", help="of edgetvm's search there")
    add("--stock-minutes", type=float, default=30, metavar="M", help="of MetaSchedule's")
    add("--per-iteration", type=int, default=64, metavar="N", help="trials in a lot of stock")
    add(
        "--models",
        default=[],
        metavar="A,B",
        help="of suite, as in benchmarks.latency",
        type=_words,
    )
    add("--minutes", type=float, default=30, metavar="M", help="of tuning the whole suite")
    add("--database", type=Path, metavar="FILE", help="keep the trials of suite here")
    add("--small-model", default="ppocr-cls", metavar="NAME", help="of boards and kills")
    add("--boards", type=int, default=8, metavar="K")
    add("--board-trials", type=int, default=60, metavar="N", help="for each board")
    add("--sleep-ms", type=float, default=200, help="that a kernel takes on an emulated board")
    add("--kills", type=int, default=100, metavar="N")
    add("--seed", type=int, default=1, help="of the instants of kills")
    add("--json", type=Path, default=_RESULTS / "tuning.json", metavar="FILE")
    add("--folder", type=Path, default=cache_folder() / "benchmarks", help="keep models here")
    return parser.parse_args()


def _case(name: str, folder: Path) -> Case:
    (entry,) = chosen([name])
    return prepared(entry, folder)


def _rivals(options: argparse.Namespace) -> list[Part]:
    """Rate and parity, of the same two searches."""
    case, threads = _case(options.model, options.folder), options.threads
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        every_s = 60 * options.rate_minutes / _COPIES
        say(f"rate: edgetvm on {case.name}")
        ours = rivals.search_ours(case.file, options.rate_minutes, every_s, scratch)
        every_s = 60 * options.stock_minutes / _COPIES
        say(f"rate: {ours.per_minute:.1f} trials a minute; now stock")
        with LocalBoard() as local:
            board = rivals.Board(local.tracker, local.key, "local", threads)
            stock = rivals.search_stock(
                case.file, board, options.stock_minutes, every_s, options.per_iteration, scratch
            )
        say(f"rate: {stock.per_minute:.1f} trials a minute")
        parts = [rivals.rate(case.name, ours, stock)] if "rate" in options.parts else []
        if "parity" in options.parts:
            parts.append(parity.run(case, threads, options.folder, ours, stock, scratch))
    return parts


def _board(options: argparse.Namespace) -> list[Part]:
    plan = board_rate.Plan(
        options.model,
        _case(options.model, options.folder).file,
        options.rate_minutes,
        min(options.stock_minutes, _BOARD_MINUTES),
        options.per_iteration,
    )
    return [board_rate.run(plan)]


def _suite(options: argparse.Namespace) -> list[Part]:
    plan = suite.Plan(
        tuple(options.models), options.minutes, _cores(), options.folder, options.database
    )
    return [suite.run(plan)]


def _boards(options: argparse.Namespace) -> list[Part]:
    model = _case(options.small_model, options.folder).file
    plan = boards.Plan(
        model, boards=options.boards, trials=options.board_trials, sleep_ms=options.sleep_ms
    )
    return [boards.run(plan)]


def _kills(options: argparse.Namespace) -> list[Part]:
    model = _case(options.small_model, options.folder).file
    return [kills.run(kills.Plan(model, options.kills, seed=options.seed))]


# What runs a part, or several that share their work.
_RUNNERS: dict[tuple[str, ...], Callable[[argparse.Namespace], list[Part]]] = {
    ("rate", "parity"): _rivals,
    ("board",): _board,
    ("suite",): _suite,
    ("boards",): _boards,
    ("kills",): _kills,
}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _write(file: Path, parts: list[Part]) -> None:
    """After each part: a run that is interrupted keeps what it has."""
    made: dict[str, Any] = {
        "cpu": cpu_name(),
        "cores": _cores(),
        "system": platform.platform(),
        "parts": [dataclasses.asdict(one) for one in parts],
        "result": result_line(parts),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(made, default=str))


def main() -> None:
    """Run the parts, print, write, and end with the result line."""
    options = _options()
    parts: list[Part] = []
    try:
        for names, run in _RUNNERS.items():
            if not set(names) & set(options.parts):
                continue
            found = run(options)
            parts += found
            print(result_line(found), flush=True)
            _write(options.json, parts)
    except Unavailable as error:
        sys.exit(str(error))
    print(f"result: {result_line(parts)}")


if __name__ == "__main__":
    main()
