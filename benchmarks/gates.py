"""How often the gate is wrong, and how often it finds what it should: `python -m benchmarks.gates`.

A package whose runs take a known time goes through the gate against itself, and against one that
is 5% quicker, in turns on edgetvm's C program on this machine. An answer of `inconclusive` is no
alarm and no find. To tell with a confidence of 95% that at most 1% are false alarms takes 368
gates without one, and that 95% are found 72 that all find it: a gate against itself takes about
5 s, and one that finds something, which is run twice, about 10 s. A report of 10 models on 4
boards tells its size, and what it would load from outside. Ends with one line of figures.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.full_report import full_report
from benchmarks.measuring.busy import Known, busy_package, c_board, ticks_per_ns
from edgetvm.farm import Board
from edgetvm.measure import Store
from edgetvm.measure.real_time_figures import binomial_interval
from edgetvm.package.archive import Package
from edgetvm.report.html import render_html
from edgetvm.workflow.comparing import Turn
from edgetvm.workflow.gating import GatePlan, gate

USUAL_NS = 1_000_000
SLOWER = 1.05
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


def external_loads(page: str) -> int:
    """What a page would load from elsewhere."""
    return len(_LOADS.findall(page))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and end with the line of figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="gates against itself")
    parser.add_argument("--slow-rounds", type=int, help="gates with 5%% to find; --rounds without")
    parser.add_argument("--processes", type=int, default=10, help="of each side of a gate")
    parser.add_argument("--runs", type=int, default=50, help="of each process")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    slow_rounds = options.rounds if options.slow_rounds is None else options.slow_rounds
    turn, rate = Turn(options.processes, options.runs, 2.0), ticks_per_ns()
    usual, slower = steady(USUAL_NS, rate), steady(USUAL_NS * SLOWER, rate)
    with c_board() as board, tempfile.TemporaryDirectory(prefix="edgetvm-gates-") as folder:
        store = Store(f"sqlite:///{folder}/gates.sqlite")
        same = outcomes(board, usual, usual, store, turn, options.rounds)
        slow = outcomes(board, slower, usual, store, turn, slow_rounds)
    page = render_html(*full_report())
    figures = {
        "false_alarm_pct": told("false alarms", same["regression"], options.rounds),
        "found_5pct_slowdown_pct": told("5% found", slow["regression"], slow_rounds),
        "html_kb": len(page.encode()) / 1000,
        "external_loads": external_loads(page),
    }
    print(f"against itself: {dict(same)}; 5% slower: {dict(slow)}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print("result: " + " ".join(f"{name}={value:.4g}" for name, value in figures.items()))


def told(name: str, count: int, rounds: int) -> float:
    """The share in percent; its confidence interval is printed."""
    low, high = binomial_interval(count, rounds)
    print(f"{name}: {count} of {rounds}, with 95% confidence {low:.1%} to {high:.1%}")
    return 100 * count / rounds if rounds else math.nan


if __name__ == "__main__":
    main()
