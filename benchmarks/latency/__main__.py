"""Latency beside the other runtimes: `python -m benchmarks.latency`.

Each engine runs each model in a process of its own, which stays and sleeps (SIGSTOP) while others
are measured. Rounds go over all engines of a model; a turn is a fraction of a second, inputs are
set before. A turn in which anything else used the machine, or beside which the cores did not reach
their peak, is taken again; figures for which there was no other turn are marked ~. An engine with
two sensible settings is measured with both, and the faster one counts. Answers are checked: a
wrong one has no time.

The ratio is edgetvm's median over that of the fastest peer (ONNX Runtime, LiteRT, OpenVINO, ncnn
and MNN, where they read the model). It ends with `result: geomean_untuned_fp32=…`, over all models
and numbers of threads; infinite where edgetvm failed beside a peer that did not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.latency import tables
from benchmarks.latency.case import OwnTask, Timings
from benchmarks.latency.engines import ENGINES, ENGINES_MODULE, Engine, engine_called, settings
from benchmarks.latency.machine import Peak, Roof, cpu_name
from benchmarks.latency.plot import drawing
from benchmarks.latency.prepare import prepared
from benchmarks.latency.results import Row, as_json, line, row, summary, wrong_answer
from benchmarks.latency.rounds import Plan, measure, say
from benchmarks.latency.suite import chosen
from edgetvm.base.pins import installed_version
from edgetvm.measure.peers import crew
from edgetvm.measure.peers.answers import TOLERANCE, answer_error
from edgetvm.measure.peers.case import Case, Task, Unavailable

_RESULTS = Path(__file__).resolve().parent.parent / "results"


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _counts(text: str) -> list[int]:
    return [int(word) for word in _words(text)]


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    return name, tuple(_counts(sizes))


def _options() -> argparse.Namespace:
    from edgetvm.base.paths import cache_folder

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--models", default=[], metavar="A,B", help="names, globs, paths of files", type=_words
    )
    names = ",".join(engine.name for engine in ENGINES)
    parser.add_argument(
        "--engines", default=names.split(","), metavar="A,B", help=names, type=_words
    )
    parser.add_argument("--threads", default=[1, 2], metavar="1,2", type=_counts)
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=_shape,
        metavar="INPUT=1,3,224,224",
        help="of an input that a file of yours leaves open",
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one turn")
    parser.add_argument("--samples", type=int, default=20, help="at least so many of each")
    parser.add_argument(
        "--patience", type=float, default=60, metavar="SECONDS", help="to wait for a quiet machine"
    )
    parser.add_argument("--tuning-database", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, default=_RESULTS / "latency.json", metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG of the ratios")
    parser.add_argument(
        "--folder", type=Path, default=cache_folder() / "benchmarks", help="keep models here"
    )
    parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="to load")
    parser.add_argument(
        "--hold",
        default="",
        metavar="COMMAND",
        help="runs before COMMAND's argument while times are taken: 'flock FILE', say",
    )
    parser.add_argument(
        "--kernels",
        metavar="MODEL",
        help="only: where the time goes, edgetvm's kernels one by one, first of --threads",
    )
    return parser.parse_args()


@contextlib.contextmanager
def _held(command: str) -> Iterator[None]:
    """While `command` runs something that does nothing."""
    if not command:
        yield
        return
    program = "import sys; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [*shlex.split(command), sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for said in process.stdout or ():
            if said.strip() == "held":
                break
        try:
            yield
        finally:
            process.communicate()


def _tasks(
    case: Case, engines: list[Engine], threads: int, options: argparse.Namespace
) -> list[Task]:
    return [
        OwnTask(engine.name, setting, case, threads, options.tuning_database)
        for engine in engines
        for setting in settings(engine, case, threads)
    ]


def _row(case: Case, tasks: list[Task], options: argparse.Namespace, peak: Peak, roof: Roof) -> Row:
    """Start the workers of one model, take rounds, end them."""
    timings = {id(task): Timings(task) for task in tasks}

    def lost(task: Task, why: str) -> None:
        timings[id(task)].why = why
        say(f"  {task.title}: {why}")

    workers = crew.start(tasks, os.cpu_count() or 1, options.timeout, lost, ENGINES_MODULE)
    try:
        expected = case.expected()
        for worker in list(workers):
            found = timings[id(worker.task)]
            found.facts = worker.facts
            found.error = answer_error(worker.answers, expected)
            if found.error > TOLERANCE[case.kind]:
                lost(worker.task, wrong_answer(found.error))
                worker.end()
                workers.remove(worker)
        plan = Plan(options.rounds, options.seconds, options.samples, patience_s=options.patience)
        with _held(options.hold):
            turns = measure(
                workers, {one: timings[id(one.task)] for one in workers}, plan, peak, roof
            )
    finally:
        crew.end(workers)
    if turns.foreign or turns.absent:
        say(
            f"  of {turns.taken} turns: others used the machine in {turns.foreign}, "
            f"a core was missing beside {turns.absent}"
        )
    return row(case, roof.threads, timings.values(), turns, roof.gflops)


def _facts() -> dict[str, Any]:
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _engines(options: argparse.Namespace) -> list[Engine]:
    """Those asked for that are here."""
    found = []
    for engine in map(engine_called, options.engines):
        if installed_version(engine.package) is None:
            print(f"{engine.name}: left out: it is not installed (see: scripts/setup bench)")
        elif engine.name != "edgetvm-tuned" or options.tuning_database is not None:
            found.append(engine)
    return found


def _run(options: argparse.Namespace) -> list[Row]:
    engines = _engines(options)
    peak = Peak(options.folder)
    roofs = [peak.roof(threads) for threads in options.threads]
    print(tables.heading(engines), flush=True)
    rows: list[Row] = []
    for entry in chosen(options.models, dict(options.shape)):
        say(f"{entry.name}: preparing")
        try:
            case = prepared(entry, options.folder)
        except Unavailable as error:
            print(f"{entry.name}: left out: {error}", flush=True)
            continue
        for roof in roofs:
            say(f"{entry.name}: {roof.threads} thr")
            tasks = _tasks(case, engines, roof.threads, options)
            rows.append(_row(case, tasks, options, peak, roof))
            print(tables.text(rows[-1], engines), flush=True)
            _write(options, rows, roofs)
    _print_end(rows, roofs)
    return rows


def _write(options: argparse.Namespace, rows: list[Row], roofs: list[Roof]) -> None:
    """After each row: a run that is interrupted keeps what it has."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(as_json(rows, _facts(), roofs), allow_nan=False))
    if options.plot:
        options.plot.write_text(drawing(rows, f"Latency over the fastest peer's, {cpu_name()}"))


def _print_end(rows: list[Row], roofs: list[Roof]) -> None:
    print()
    for reason in tables.failures(rows):
        print(reason)
    print()
    for text in tables.roofline(rows, roofs):
        print(text)
    print()
    for roof in roofs:
        alone = [one for one in rows if one.threads == roof.threads]
        print(f"{roof.threads} thr: {line(summary(alone))}")


def _print_kernels(options: argparse.Namespace) -> None:
    from benchmarks.latency import kernels

    for entry in chosen([options.kernels], dict(options.shape)):
        kernels.report(prepared(entry, options.folder), options.threads[0])


def main() -> None:
    """Prepare, measure, print, write, and end with the result line."""
    options = _options()
    try:
        if options.kernels:
            _print_kernels(options)
            return
        rows = _run(options)
    except Unavailable as error:
        sys.exit(str(error))
    print(f"result: {line(summary(rows))}")


if __name__ == "__main__":
    main()
