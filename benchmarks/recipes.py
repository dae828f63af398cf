"""Whether every recipe works, on this machine and on a board of another architecture.

    python -m benchmarks.recipes
    python -m benchmarks.recipes --only tiny/ --arch armv7l

Each recipe and each pipeline is built, deployed, compared with its reference runtime on all of its
data, and held to the accuracy that it accepts. The board is one that this machine plays
(`edgetvm farm emulate`), provisioned as any other: what is right there is told, and no time. Models
and data come from `EDGETVM_MODELS` and `EDGETVM_DATA`, else from where the recipes say. Ends with

    result: recipes=… passed=… emulated_arm_passed=…
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.farm import Board, find_board
from edgetvm.farm.emulating import ARCHITECTURES, emulated_boards
from edgetvm.farm.provision import Order, provision
from edgetvm.measure import Plan
from edgetvm.recipes import list_pipelines, list_recipes, load_pipeline
from edgetvm.workflow import bench_each, work_through


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes")
    parser.add_argument("--only", default="", help="recipes whose names begin so")
    parser.add_argument("--arch", default="aarch64", choices=ARCHITECTURES)
    parser.add_argument("--runs", type=int, default=50, help="timed, on this machine")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = [one.name for one in list_recipes() if one.name.startswith(arguments.only)]
    piped = [one.name for one in list_pipelines() if one.name.startswith(arguments.only)]
    local = find_board("local")
    here = _passed(names, local, Plan(runs=arguments.runs)) | _worked(piped, local)
    with emulated(arguments.arch) as board:
        there = _passed(names, board, Plan(runs=1, warmup=0)) | _worked(piped, board)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"local": here, arguments.arch: there}, indent=1))
    print(f"result: recipes={len(here)} passed={_count(here)} emulated_arm_passed={_count(there)}")


@contextmanager
def emulated(architecture: str) -> Iterator[Board]:
    """A provisioned board, whose host key is noted in a home of the benchmark's own."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        os.environ["HOME"] = home
        with emulated_boards(1, architecture) as (one,):
            (outcome,) = provision([one.board], Order(accept_new_host_key=True)).values()
            if outcome.error is not None:
                raise outcome.error
            yield one.board


def _passed(names: Sequence[str], board: Board, plan: Plan) -> dict[str, str]:
    """For each recipe "passed", or why not."""
    found = {}
    for name in names:
        try:
            benched = bench_each([name], [board], plan)
        except EdgetvmError as error:
            found[name] = str(error)
        else:
            found[name] = next((str(error) for error in benched.failures.values()), "passed")
            metrics = next((one.metrics for one in benched.measurements), {})
            told = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
            print(f"{board.name:12} {name:36} {found[name]}  {told}", flush=True)
    return found


def _worked(names: Sequence[str], board: Board) -> dict[str, str]:
    """For each pipeline "passed", or why not."""
    found = {}
    for name in names:
        try:
            metrics = work_through(load_pipeline(name), board).metrics
        except EdgetvmError as error:
            metrics, found[name] = {}, str(error)
        else:
            found[name] = "passed"
        told = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        print(f"{board.name:12} {name:36} {found[name]}  {told}", flush=True)
    return found


def _count(found: dict[str, str]) -> int:
    return sum(said == "passed" for said in found.values())


if __name__ == "__main__":
    main()
