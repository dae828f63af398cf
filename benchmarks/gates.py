"""How often the gate is wrong, and how often it finds what it should: `python -m benchmarks.gates`.

A package whose runs take a known time goes through the gate against itself, and against one that
is 5% quicker, in turns on edgetvm's C program on this machine. An answer of `inconclusive` is no
alarm and no find. A report of stored measurements, 10 models on 4 boards, tells its size and what
it would load from outside. Ends with one line of figures.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring.busy import Known, busy_package, c_board, ticks_per_ns
from edgetvm.farm import Board
from edgetvm.measure import Measurement, Store
from edgetvm.package.archive import Package
from edgetvm.report.html import render_html
from edgetvm.workflow.comparing import Turn
from edgetvm.workflow.gating import GatePlan, gate

USUAL_NS = 1_000_000
SLOWER = 1.05
_MODELS, _BOARDS = 10, 4
# What a browser would fetch: links that a reader may follow are none.
_LOADS = re.compile(
    r"""(?:\bsrc|<link[^>]*\bhref)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?https?:"""
)


def steady(usual_ns: float, rate: float) -> Package:
    """A model whose runs all take so long."""
    return busy_package(Known(round(usual_ns), round(usual_ns), 0), rate)


@contextmanager
def on_disk(package: Package) -> Iterator[str]:
    """The package as a file, which the gate can be told of."""
    with tempfile.TemporaryDirectory(prefix="edgetvm-gates-") as folder:
        path = Path(folder, "model.edgetvm")
        path.write_bytes(package.data)
        yield str(path)


def outcomes(
    board: Board, model: Package, baseline: Package, store: Store, turn: Turn, rounds: int
) -> Counter[str]:
    """What the gate says, so many times."""
    plan = GatePlan(0.03, turn, baseline)
    found: Counter[str] = Counter()
    with on_disk(model) as name:
        for _ in range(rounds):
            (judged,) = gate([name], board, plan, store=store)
            print(f"{judged.outcome:14}{judged.why}", flush=True)
            found[judged.outcome] += 1
    return found


def many(template: Measurement) -> list[Measurement]:
    """As if it were of many models on many boards."""
    return [
        replace(
            template,
            model=f"model {model}",
            environment=replace(template.environment, device=f"board {board}"),
        )
        for model in range(_MODELS)
        for board in range(_BOARDS)
    ]


def external_loads(page: str) -> int:
    """What a page would load from elsewhere."""
    return len(_LOADS.findall(page))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and end with the line of figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="gates of each kind")
    parser.add_argument("--processes", type=int, default=10, help="of each side of a gate")
    parser.add_argument("--runs", type=int, default=50, help="of each process")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    turn, rate = Turn(options.processes, options.runs, 2.0), ticks_per_ns()
    usual, slower = steady(USUAL_NS, rate), steady(USUAL_NS * SLOWER, rate)
    with c_board() as board, tempfile.TemporaryDirectory(prefix="edgetvm-gates-") as folder:
        store = Store(f"sqlite:///{folder}/gates.sqlite")
        same = outcomes(board, usual, usual, store, turn, options.rounds)
        slow = outcomes(board, slower, usual, store, turn, options.rounds)
        kept = store.ids()
        page = render_html(many(store.load(kept[-1]))) if kept else ""
    figures = {
        "false_alarm_pct": 100 * same["regression"] / options.rounds,
        "found_5pct_slowdown_pct": 100 * slow["regression"] / options.rounds,
        "html_kb": len(page.encode()) / 1000,
        "external_loads": external_loads(page),
    }
    print(f"against itself: {dict(same)}; 5% slower: {dict(slow)}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print("result: " + " ".join(f"{name}={value:.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
