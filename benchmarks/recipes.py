"""Whether every recipe works, on this machine and on a board of another architecture.

    python -m benchmarks.recipes
    python -m benchmarks.recipes --only tiny/,relay/ --arch armv7l
    python -m benchmarks.recipes --json outcomes.json      # goes on where it was ended

Each recipe and each pipeline is built, deployed, compared with its reference runtime on all of its
data, and held to the accuracy that it accepts. The board is one that this machine plays
(`edgetvm farm emulate`), provisioned as any other: what is right there is told, and no time. Models
and data come from `EDGETVM_MODELS` and `EDGETVM_DATA`, else from where the recipes say. What cannot
be had is left out, with the reason and what brings it, and counts as not passed. A recipe without
metrics, whose answers are compared and no more, is told as one without accuracy. Ends with

    result: recipes=… passed=… emulated_arm_passed=…
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from edgetvm.base.errors import EdgetvmError, MissingToolError
from edgetvm.base.files import read_errors, write_text
from edgetvm.farm import Board, find_board
from edgetvm.farm.emulating import ARCHITECTURES, emulated_boards
from edgetvm.farm.provision import Order, provision
from edgetvm.measure import Plan
from edgetvm.recipes import list_pipelines, list_recipes, load_pipeline
from edgetvm.workflow import bench, find_subject, work_through

# Of every recipe with a postprocess: a comparison with the reference, and no accuracy.
_AGREEMENT = "decision_agreement_pct"


@dataclass(frozen=True)
class Outcome:
    """What came of a recipe or a pipeline on a board.

    Attributes:
        said: left out is what cannot be had: a model, data, or a program of this machine.
        why: what failed or is missing, and the mend; empty where it passed.
        metrics: of its predictions; empty where there are none.
    """

    said: Literal["passed", "failed", "left out"]
    why: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.said != "passed":
            return f"{self.said}: {self.why}"
        told = [f"{name} {value:.4g}" for name, value in self.metrics.items()]
        said = ["passed"] if {*self.metrics} - {_AGREEMENT} else ["passed", "without accuracy"]
        return ", ".join([*said, *told])


class Outcomes:
    """By board and name. With a file they are kept there as they come, and read from it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[str, dict[str, Outcome]] = {}
        if path is not None and path.exists():
            with read_errors(path):
                kept = json.loads(path.read_text(encoding="utf-8"))
            self._found = {
                place: {name: Outcome(**one) for name, one in outcomes.items()}
                for place, outcomes in kept.items()
            }

    def passed(self, place: str, name: str) -> bool:
        """Whether it is known to have."""
        found = self._found.get(place, {}).get(name)
        return found is not None and found.said == "passed"

    def add(self, place: str, name: str, outcome: Outcome) -> None:
        """What came of it now."""
        self._found.setdefault(place, {})[name] = outcome
        if self._path is not None:
            document = {
                place: {name: asdict(one) for name, one in outcomes.items()}
                for place, outcomes in self._found.items()
            }
            write_text(self._path, json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes")
    parser.add_argument("--only", default="", help="what names begin with; several by commas")
    parser.add_argument("--arch", default="aarch64", choices=ARCHITECTURES)
    parser.add_argument("--runs", type=int, default=50, help="timed, on this machine")
    parser.add_argument(
        "--json",
        type=Path,
        help="outcomes, written as they come; what passed by this file is not run again",
    )
    arguments = parser.parse_args()
    works = _works(tuple(arguments.only.split(",")))
    outcomes = Outcomes(arguments.json)
    try_all(works, find_board("local"), Plan(runs=arguments.runs), outcomes, "local")
    if not all(outcomes.passed(arguments.arch, name) for name in works):
        try:
            with emulated(arguments.arch) as board:
                try_all(works, board, Plan(runs=1, warmup=0), outcomes, arguments.arch)
        except EdgetvmError as error:
            print(f"emulated {arguments.arch} board: left out: {error}", flush=True)
    passed = {
        place: sum(outcomes.passed(place, name) for name in works)
        for place in ("local", arguments.arch)
    }
    print(
        f"result: recipes={len(works)} passed={passed['local']} "
        f"emulated_arm_passed={passed[arguments.arch]}"
    )


Work = Callable[[str, Board, Plan], Mapping[str, float]]


def _works(begins: tuple[str, ...]) -> dict[str, Work]:
    """How each recipe and pipeline is tried whose name begins so."""
    works: dict[str, Work] = {one.name: _benched for one in list_recipes()}
    works |= {one.name: _worked for one in list_pipelines()}
    return {name: work for name, work in works.items() if name.startswith(begins)}


def _benched(name: str, board: Board, plan: Plan) -> Mapping[str, float]:
    return bench(find_subject(name), board, plan).metrics


def _worked(name: str, board: Board, plan: Plan) -> Mapping[str, float]:
    return work_through(load_pipeline(name), board).metrics


def try_all(
    works: Mapping[str, Work], board: Board, plan: Plan, outcomes: Outcomes, place: str
) -> None:
    """All of them that are not known to pass there, one after the other."""
    for name, work in works.items():
        if outcomes.passed(place, name):
            continue
        began_s = time.monotonic()
        try:
            outcome = Outcome("passed", metrics=work(name, board, plan))
        except MissingToolError as error:
            outcome = Outcome("left out", str(error))
        except EdgetvmError as error:
            outcome = Outcome("failed", str(error))
        outcomes.add(place, name, outcome)
        took_s = time.monotonic() - began_s
        print(f"{place:8} {name:36} {took_s:4.0f} s  {outcome}", flush=True)


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


if __name__ == "__main__":
    main()
