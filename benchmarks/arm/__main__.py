"""Stand-ins for ARM boards: `python -m benchmarks.arm`.

No time is measured. QEMU executes one inference of edgetvm's code, and of ONNX Runtime's, LiteRT's
and ncnn's builds for ARM, on one thread with the same input, and a plugin counts the instructions.
Cycles are estimated as `edgetvm estimate` does it, from 100 sampled stretches of each run and with
caches. Differences under 20% of estimated cycles are ties.

edgetvm's kernels are called by a small C program, one after the other, as a package's own function
calls them. A model that needs TVM's virtual machine pays about 1000 instructions for each kernel
beside that, which are not counted. Peers are called from Python as in `benchmarks.latency`, of
which 2500 instructions are Python's and are subtracted. Answers are checked: a wrong one has no
figure. An engine with two sensible settings is run with both, and the better one counts.

It ends with `result: geomean_instructions_a72_fp32=…`: edgetvm over the best peer.

Needed beforehand: apt-get install qemu-user llvm-22 cmake ninja-build
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.arm import edge, peers
from benchmarks.arm.boards import BOARDS, Board, board_called
from benchmarks.arm.emulator import Counted
from benchmarks.arm.kernels import report
from benchmarks.arm.results import EDGETVM, Result, Row, as_json, heading, judged, line, summary
from benchmarks.arm.results import text as row_text
from benchmarks.latency.prepare import prepared
from benchmarks.latency.rounds import say
from benchmarks.latency.suite import chosen
from edgetvm.base.errors import EdgetvmError
from edgetvm.compile.options import PRECISIONS, CompileOptions
from edgetvm.estimate.tools import emulator, llvm_program
from edgetvm.measure.peers.answers import answer_error
from edgetvm.measure.peers.case import Arrays, Case, Task, Unavailable

# Of what is kept of peers: raise it when that changes.
_FORMAT = 2
_RESULTS = Path(__file__).resolve().parent.parent / "results"
# Small enough for minutes under QEMU.
_MODELS = (
    "ppocr-cls",
    "mobilenetv2",
    "efficientnet-lite0",
    "minilm-l6",
    "lstm-forecaster",
    "silero-vad",
    "oww-embedding",
    "oww-okay-nabu",
    "tiny-ad01",
    "tiny-kws",
    "tiny-resnet8",
    "tiny-vww",
    "ppocr-cls-int8",
    "mww-okay-nabu",
    "tiny-ad01-int8",
    "tiny-kws-int8",
    "tiny-resnet8-int8",
    "tiny-vww-int8",
)


def _options() -> argparse.Namespace:
    from edgetvm.base.paths import cache_folder

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.arm", description=(__doc__ or "").splitlines()[0]
    )
    words = {"type": lambda text: [word for word in text.split(",") if word]}
    parser.add_argument(
        "--models", default=list(_MODELS), metavar="A,B", help="names, globs, paths", **words
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="edgetvm's")
    boards = [board.name for board in BOARDS]
    parser.add_argument("--boards", default=boards, metavar="A,B", help=",".join(boards), **words)
    parser.add_argument("--json", type=Path, default=_RESULTS / "arm.json", metavar="FILE")
    parser.add_argument(
        "--folder", type=Path, default=cache_folder() / "benchmarks", help="keep models here"
    )
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="of one run")
    parser.add_argument("--again", action="store_true", help="count peers again")
    parser.add_argument("--no-peers", action="store_true", help="edgetvm alone")
    parser.add_argument("--kernels", action="store_true", help="only: edgetvm's kernels one by one")
    return parser.parse_args()


def _filled(result: Result, found: Counted, answers: Arrays, case: Case) -> Result:
    """The first run marked nothing but the marks' own cost."""
    marks, *runs = found.runs
    result.instructions = min(runs) - marks
    result.error = answer_error(answers, case.expected())
    if found.best is not None:
        result.cycles = found.best.cycles
    return judged(result, case)


def _made(board: Board, case: Case, options: argparse.Namespace) -> edge.Program:
    half = "" if options.precision == "fp32" else f"-{options.precision}"
    folder = options.folder / "arm" / "programs" / f"{board.name}-{case.name}{half}"
    return edge.program(board, case, folder, CompileOptions(precision=options.precision))


def _mine(board: Board, case: Case, options: argparse.Namespace) -> Result:
    result = Result(EDGETVM)
    folder = options.folder / "arm"
    try:
        made = _made(board, case, options)
        found = edge.run(made, folder, options.timeout)
        return _filled(result, found, edge.answers(made), case)
    except (Unavailable, EdgetvmError) as error:
        result.why = str(error)
        return result


def _row(board: Board, case: Case, options: argparse.Namespace) -> Row:
    row = Row(case.name, case.kind, board.name, _multiply_adds(case))
    say(f"{board.name} {case.name}: {EDGETVM}")
    row.results.append(_mine(board, case, options))
    for task in [] if options.no_peers else peers.tasks(board, case):
        row.results.append(_theirs(board, task, options))
    return row


def _theirs(board: Board, task: Task, options: argparse.Namespace) -> Result:
    """A peer's result, kept: the same build on the same input executes the same instructions."""
    folder, case = options.folder / "arm", task.case
    origin = f"{_FORMAT}{case.file.read_bytes()!r}{case.data.read_bytes()!r}{peers.version(task)}"
    digest = hashlib.sha256(origin.encode()).hexdigest()[:12]
    kept = folder / "peers" / f"{board.name}-{case.name}-{task.engine}-{task.setting}-{digest}.json"
    if kept.exists() and not options.again:
        return Result(**json.loads(kept.read_text()))
    say(f"{board.name} {case.name}: {task.title}")
    result = Result(task.engine, task.setting)
    try:
        found, answers = peers.run(board, task, folder, options.timeout)
        result = _filled(result, found, answers, case)
    except Unavailable as error:
        result.why = str(error)
        return result
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(dataclasses.asdict(result)))
    return result


def _multiply_adds(case: Case) -> int:
    from edgetvm.models import import_model

    return sum(import_model(case.file).multiply_adds.values())


def _facts() -> dict[str, Any]:
    from edgetvm.base.pins import installed_version

    def first(program: str) -> str:
        command = [program, "--version"]
        return subprocess.check_output(command, text=True).strip().splitlines()[0]

    packages = ("apache-tvm", "onnxruntime", "ai-edge-litert", "ncnn")
    return {
        "system": platform.platform(),
        "qemu-aarch64": first(emulator("aarch64")),
        "llvm-mca": first(llvm_program("llvm-mca")),
        **{name: installed_version(name) for name in packages},
    }


def _run(options: argparse.Namespace) -> list[Row]:
    boards = [board_called(name) for name in options.boards]
    facts = {**_facts(), "precision": options.precision}
    rows: list[Row] = []
    print(heading(), flush=True)
    for entry in chosen(options.models):
        try:
            case = prepared(entry, options.folder)
        except Unavailable as error:
            print(f"{entry.name}: left out: {error}", flush=True)
            continue
        for board in boards:
            rows.append(_row(board, case, options))
            print(row_text(rows[-1]), flush=True)
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(as_json(rows, facts), indent=1))
    print()
    for row in rows:
        for result in row.results:
            if result.why:
                print(f"{row.board} {row.model}: {result.title}: {result.why}")
    return rows


def _print_kernels(options: argparse.Namespace) -> None:
    folder = options.folder / "arm"
    for entry in chosen(options.models):
        case = prepared(entry, options.folder)
        for name in options.boards:
            board = board_called(name)
            made = _made(board, case, options)
            print(f"{name} {case.name}")
            print(report(made, edge.run(made, folder, options.timeout, each=True)))


def main() -> None:
    """Count, estimate, print, write, and end with the result line."""
    options = _options()
    try:
        if options.kernels:
            _print_kernels(options)
            return
        rows = _run(options)
    except (Unavailable, EdgetvmError) as error:
        sys.exit(str(error))
    print(f"result: {line(summary(rows))}")


if __name__ == "__main__":
    main()
