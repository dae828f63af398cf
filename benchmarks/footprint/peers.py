"""An engine on one model: how it opens, runs, and what memory it takes, in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.latency.engines import load
from edgetvm.measure.peers.case import Arrays, Case, Task
from edgetvm.package.crossbuild import LIBRARY_FILE, build_runtime

BINDING = "edgetvm"  # on the case's package, not its file
PEERS = ("onnxruntime", "litert", "openvino", "mnn", "ncnn")
_PROCESSES = 5
_RUNS = 400
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Opened:
    """An engine's process.

    Attributes:
        total_ms: from the file's path to the first result, its library already loaded.
        run_ms: median of later runs.
        over_process_kb: peak memory over that of the bare process, before the library was loaded.
    """

    total_ms: float
    run_ms: float
    over_process_kb: float


class _Ready(Case):
    """A case whose inputs were read before the clock starts."""

    arrays: Arrays

    def input_arrays(self) -> Arrays:
        return self.arrays


def opened(engine: str, case: Case) -> Opened | None:
    """Medians over processes; None where the engine is not here, or cannot read the model."""
    found = [_in_a_process(engine, case) for _ in range(_PROCESSES)]
    whole = [one for one in found if one is not None]
    if len(whole) < len(found):
        return None
    columns = {key: median(asdict(one)[key] for one in whole) for key in asdict(whole[0])}
    return Opened(**columns)


class _Binding:
    """A package, opened by edgetvm's Python binding for boards."""

    def __init__(self, case: Case) -> None:
        from edgetvm.package.binding.edgetvm_lite import Model

        self._model = Model(case.file, threads=1, library=_library())
        names = [spec.name for spec in self._model.inputs]
        self._inputs = dict(zip(names, case.input_arrays(), strict=True))

    def run(self) -> object:
        return self._model.run(self._inputs)


@cache
def _library() -> Path:
    return build_runtime("x86_64", "glibc").folder / LIBRARY_FILE


def _loaded(engine: str, case: Case) -> Any:
    if engine == BINDING:
        return _Binding(case)
    return load(Task(engine, "", case, 1))


def _in_a_process(engine: str, case: Case) -> Opened | None:
    told = {**asdict(case), "operators": sorted(case.operators)}
    command = [sys.executable, "-m", "benchmarks.footprint.peers", engine]
    done = subprocess.run(
        [*command, json.dumps(told, default=str)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        return None
    return Opened(**json.loads(done.stdout.splitlines()[-1]))


def _peak_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _case(told: dict[str, Any]) -> Case:
    paths = {key: Path(told[key]) for key in ("file", "data")}
    names = {key: tuple(told[key]) for key in ("inputs", "outputs")}
    case = _Ready(**{**told, **paths, **names, "simplified": None, "operators": frozenset()})
    object.__setattr__(case, "arrays", Case.input_arrays(case))
    return case


def main() -> None:
    """Open the case of the arguments in the engine and print what it took."""
    engine, case = sys.argv[1], _case(json.loads(sys.argv[2]))
    bare_kb = _peak_kb()
    # The first time loads libraries and modules, and is not timed. Its memory counts.
    _loaded(engine, case).run()
    peak_kb = _peak_kb() - bare_kb
    began_ns = time.perf_counter_ns()
    loaded = _loaded(engine, case)
    loaded.run()
    total_ns = time.perf_counter_ns() - began_ns
    samples = []
    for _ in range(_RUNS):
        began_ns = time.perf_counter_ns()
        loaded.run()
        samples.append(time.perf_counter_ns() - began_ns)
    print(json.dumps(asdict(Opened(total_ns / 1e6, median(samples) / 1e6, peak_kb))))


if __name__ == "__main__":
    main()
