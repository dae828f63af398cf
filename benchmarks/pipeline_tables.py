"""Tables and pictures of pipelines for the pages in docs/systems: see `benchmarks.systems`.

<!-- pipelines vision/read-text : character_accuracy_pct -->
<!-- /pipelines -->

<!-- picture drawn vision/read-text ../images/read-text.png -->
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.units import format_ms
from edgetvm.farm import Board, find_board
from edgetvm.measure.pipelines import PipelineRun
from edgetvm.recipes import load_pipeline
from edgetvm.report import pictures
from edgetvm.workflow import work_through

_TABLE = re.compile(r"<!-- pipelines (.+?) : (.+?) -->\n.*?<!-- /pipelines -->", re.DOTALL)
_DRAWN = re.compile(r"<!-- picture drawn (\S+) (\S+) -->")
_NONE = "-"


@dataclass(frozen=True)
class Ran:
    """What came of a pipeline: here, and on the emulated board; None where it failed there."""

    here: PipelineRun | None
    there: PipelineRun | None


def pipelines_in(texts: Iterable[str]) -> list[str]:
    """Those that pages show, each once."""
    tables = [table[1].split() for text in texts for table in _TABLE.finditer(text)]
    return list(dict.fromkeys(name for names in tables for name in names))


def run_here(names: Sequence[str]) -> dict[str, PipelineRun | None]:
    """Each on one thread of this machine."""
    return {name: run_one(name, find_board("local"), threads=1) for name in names}


def run_one(name: str, board: Board, threads: int | None = None) -> PipelineRun | None:
    """One pipeline; None where it fails, which is told."""
    try:
        run = work_through(load_pipeline(name), board, threads)
    except EdgetvmError as error:
        print(f"{board.name:12} {name:36} {error}", flush=True)
        return None
    told = ", ".join(f"{key} {value:.4g}" for key, value in run.metrics.items())
    print(f"{board.name:12} {name:36} {told}", flush=True)
    return run


def filled(text: str, found: Mapping[str, Ran]) -> str:
    """The page with its tables of pipelines."""
    return _TABLE.sub(lambda table: _table(table, found), text)


def draw(page: Path, text: str, found: Mapping[str, Ran]) -> None:
    """The page's pictures of what pipelines found."""
    for name, file in _DRAWN.findall(text):
        run = found[name].here
        if run is not None and (drawings := pictures(run)):
            (page.parent / file).resolve().write_bytes(drawings[0])


def _table(table: re.Match[str], found: Mapping[str, Ran]) -> str:
    metrics = [name.strip() for name in table[2].split(",")]
    head = ["Pipeline", *(f"`{name}`" for name in metrics), "Stages: runs, p50 each"]
    head += ["A sample", "Real-time factor", f"`{metrics[0]}` on emulated aarch64"]
    rows = [head, ["---"] * len(head)]
    rows += [_row(name, metrics, found[name]) for name in table[1].split()]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"<!-- pipelines {table[1]} : {table[2]} -->\n{lines}\n<!-- /pipelines -->"


def _row(name: str, metrics: Sequence[str], ran: Ran) -> list[str]:
    run = ran.here
    if run is None:
        return [f"`{name}`", "failed", *[_NONE] * (len(metrics) + 3)]
    stages = "; ".join(
        f"{stage}: {len(one.runs_ns)}, {format_ms(one.median_ms)}"
        for stage, one in run.stages.items()
    )
    factor = run.real_time_factor
    return [
        f"`{name}`",
        *(_figure(run, metric) for metric in metrics),
        stages,
        format_ms(1e3 * run.compute_s / len(run.samples)),
        f"{factor:.3g}" if factor is not None else _NONE,
        _figure(ran.there, metrics[0]) if ran.there is not None else _NONE,
    ]


def _figure(run: PipelineRun, metric: str) -> str:
    return f"{run.metrics[metric]:.4g}" if metric in run.metrics else _NONE
