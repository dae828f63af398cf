"""Measures the recipes of the pages in docs/systems, and writes their tables and pictures.

    python -m benchmarks.systems                       # all pages
    python -m benchmarks.systems digits forecasting --no-arm

A page says itself what it shows. A table lies between

    <!-- table vision/digits vision/digits-int8 : top1, pytorch_agreement_pct -->
    <!-- /table -->

and holds a row for each recipe: the metrics after the colon, its p50 on one thread of this machine,
its own runtime's in turns with it, the size of its package, and the first of the metrics on an
emulated ARM board. What optimising brings stands between

    <!-- levels series/sp500-lstm : 0 1 2 3 -->
    <!-- /levels -->

with the p50 and the package at each level. A picture is drawn of what was measured for a table:

    <!-- picture confusion vision/digits ../images/digits.svg -->

`confusion` is of classes, `track` of numbers, `latency` of the recipes of all tables. Pipelines
have tables and pictures of their own: `benchmarks.pipeline_tables`. Times need a quiet machine.
Ends with

    result: pages=… recipes=… failed=…
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pipeline_tables
from benchmarks.pipeline_tables import Ran
from benchmarks.recipes import emulated
from edgetvm.base.errors import EdgetvmError
from edgetvm.base.units import format_bytes, format_ms
from edgetvm.compile.options import DEFAULTS, OPT_LEVELS, CompileOptions
from edgetvm.farm import Board, find_board
from edgetvm.measure import Plan, summarise
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.pipelines import PipelineRun
from edgetvm.measure.statistics import percentile
from edgetvm.recipes import load_recipe
from edgetvm.report import charts
from edgetvm.workflow import bench, find_subject

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "systems"
_TABLE = re.compile(r"<!-- table (.+?) : (.+?) -->\n.*?<!-- /table -->", re.DOTALL)
_LEVELS = re.compile(r"<!-- levels (\S+) : (.+?) -->\n.*?<!-- /levels -->", re.DOTALL)
_PICTURE = re.compile(r"<!-- picture (confusion|track|latency) (\S+) (\S+) -->")
_PEERS = {".onnx": "onnxruntime", ".tflite": "litert"}
_NONE = "-"


@dataclass(frozen=True)
class Found:
    """What came of a recipe: here, and on the emulated board; None where it failed there."""

    here: Measurement | None
    there: Measurement | None


def main() -> None:
    """Run, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.systems")
    parser.add_argument("pages", nargs="*", help="names without .md; all without them")
    parser.add_argument("--no-arm", action="store_true", help="leave the emulated board out")
    arguments = parser.parse_args()
    names = arguments.pages or [path.stem for path in sorted(PAGES.glob("*.md"))]
    pages = {PAGES / f"{name}.md": (PAGES / f"{name}.md").read_text() for name in names}
    wanted = {name: None for text in pages.values() for name in _recipes_in(text)}
    piped = pipeline_tables.pipelines_in(pages.values())
    found, ran = _measured(list(wanted), piped, arm=not arguments.no_arm)
    for path, text in pages.items():
        _draw(path, text, found)
        pipeline_tables.draw(path, text, ran)
        filled = _TABLE.sub(lambda table: _table(table, found), text)
        path.write_text(_LEVELS.sub(_levels, pipeline_tables.filled(filled, ran)))
    failed = sum(one.here is None for one in [*found.values(), *ran.values()])
    print(f"result: pages={len(pages)} recipes={len(found) + len(ran)} failed={failed}")


def _recipes_in(text: str) -> list[str]:
    return [name for table in _TABLE.finditer(text) for name in table[1].split()]


def _measured(
    names: Sequence[str], piped: Sequence[str], arm: bool
) -> tuple[dict[str, Found], dict[str, Ran]]:
    """Recipes and pipelines, here and on the emulated board."""
    here = {name: _one(name, find_board("local"), _plan(name)) for name in names}
    ran_here = pipeline_tables.run_here(piped)
    there: dict[str, Measurement | None] = {}
    ran_there: dict[str, PipelineRun | None] = {}
    if arm:
        with emulated("aarch64") as board:
            there = {name: _one(name, board, Plan(runs=1, warmup=0)) for name in names}
            ran_there = {name: pipeline_tables.run_one(name, board) for name in piped}
    return (
        {name: Found(here[name], there.get(name)) for name in names},
        {name: Ran(ran_here[name], ran_there.get(name)) for name in piped},
    )


def _plan(name: str) -> Plan:
    recipe = load_recipe(name)
    peers = () if recipe.stream else (_PEERS[Path(recipe.model.basename).suffix],)
    return Plan(threads=1, peers=peers)


def _one(
    name: str, board: Board, plan: Plan, options: CompileOptions = DEFAULTS
) -> Measurement | None:
    try:
        found = bench(find_subject(name), board, plan, options=options)
    except EdgetvmError as error:
        print(f"{board.name:12} {name:36} {error}", flush=True)
        return None
    told = ", ".join(f"{key} {value:.4g}" for key, value in found.metrics.items())
    print(f"{board.name:12} {name:36} {told}", flush=True)
    return found


def _table(table: re.Match[str], found: Mapping[str, Found]) -> str:
    metrics = [name.strip() for name in table[2].split(",")]
    head = ["Recipe", *(f"`{name}`" for name in metrics), "edgetvm p50", "Its own runtime"]
    head += ["Package", f"`{metrics[0]}` on emulated aarch64"]
    rows = [head, ["---"] * len(head)]
    rows += [_row(name, metrics, found[name]) for name in table[1].split()]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"<!-- table {table[1]} : {table[2]} -->\n{lines}\n<!-- /table -->"


def _levels(table: re.Match[str]) -> str:
    rows = [["Level", "p50", "Package"], ["---"] * 3]
    for word in table[2].split():
        options = CompileOptions(next(one for one in OPT_LEVELS if str(one) == word))
        found = _one(table[1], find_board("local"), Plan(threads=1, explained=False), options)
        p50 = format_ms(summarise(found).p50_ms) if found is not None else _NONE
        size = format_bytes(found.package_size_bytes) if found is not None else _NONE
        rows.append([f"`-O {word}`", p50, size])
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"<!-- levels {table[1]} : {table[2]} -->\n{lines}\n<!-- /levels -->"


def _row(name: str, metrics: Sequence[str], found: Found) -> list[str]:
    if found.here is None:
        return [f"`{name}`", "failed", *[_NONE] * (len(metrics) + 3)]
    figures = [_figure(found.here, metric) for metric in metrics]
    there = _figure(found.there, metrics[0]) if found.there is not None else _NONE
    p50 = format_ms(summarise(found.here).p50_ms)
    size = format_bytes(found.here.package_size_bytes)
    return [f"`{name}`", *figures, p50, _peer(found.here), size, there]


def _figure(measurement: Measurement, metric: str) -> str:
    return f"{measurement.metrics[metric]:.4g}" if metric in measurement.metrics else _NONE


def _peer(measurement: Measurement) -> str:
    """The p50 of the one peer that was timed in turns with it."""
    runs = measurement.beside.peers if measurement.beside is not None else ()
    times_ms = sorted(one / 1e6 for run in runs for turn in run.rounds_ns for one in turn)
    return f"{runs[0].name} {format_ms(percentile(times_ms, 0.5))}" if times_ms else _NONE


def _draw(page: Path, text: str, found: Mapping[str, Found]) -> None:
    here = {name: one.here for name, one in found.items() if one.here is not None}
    for kind, name, file in _PICTURE.findall(text):
        svg = ""
        if kind == "latency":
            svg = _latencies([here[one] for one in _recipes_in(text) if one in here])
        elif name in here:
            svg = _confusion(here[name]) if kind == "confusion" else _track(here[name])
        if svg:
            (page.parent / file).resolve().write_text(svg + "\n")


def _latencies(measurements: Sequence[Measurement]) -> str:
    rows = []
    for one in measurements:
        p50_ms = summarise(one).p50_ms
        rows.append(charts.Bar(one.model.rpartition("/")[2], p50_ms, format_ms(p50_ms)))
    return charts.bars(rows, "p50 on one thread")


def _confusion(measurement: Measurement) -> str:
    found = measurement.confusion
    if found is None:
        return ""
    return charts.confusion_matrix(found.classes, found.counts, measurement.model)


def _track(measurement: Measurement) -> str:
    found = measurement.track
    return charts.track(found.labels, found.values, measurement.model) if found else ""


if __name__ == "__main__":
    main()
