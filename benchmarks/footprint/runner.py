"""edgetvm-run on packages for this machine: opening, running, memory."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgetvm.boards.profile import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import import_model
from edgetvm.package import check, write_package
from edgetvm.package.crossbuild import RUNNER_FILE, build_runtime

_PROCESSES = 25
_RUNS = 400


@dataclass(frozen=True)
class Opening:
    """From a package's path to the first result, each time in a new process.

    Attributes:
        open_ms, first_run_ms, run_ms: medians over processes; `run_ms` of later runs.
        total_ms: opening and the first run.
        peak_kb: most memory that the process held (VmHWM).
        model_kb: of it the arena, and the library with its parameters.
        library_kb: code and parameters.
    """

    open_ms: float
    first_run_ms: float
    run_ms: float
    total_ms: float
    peak_kb: float
    model_kb: float
    library_kb: float

    @property
    def over_model_kb(self) -> float:
        """What the runtime adds to the model."""
        return self.peak_kb - self.model_kb


def packaged(model: Path, path: Path) -> Path:
    """A model file as a package for this machine."""
    imported = import_model(model)
    artifact = compile_model(imported, load_profile("local"))
    checked = check(artifact, imported)
    sample = checked.sample_inputs, checked.sample_outputs
    write_package(path, artifact, checked.correctness, *sample)
    return path


def ran(package: Path, *options: str) -> dict[str, Any]:
    """What the static runner reports of a package."""
    runner = build_runtime("x86_64", "musl").folder / RUNNER_FILE
    command = [str(runner), str(package), "--json", "--threads", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def opening(package: Path) -> Opening:
    """How a package opens."""
    first = [ran(package) for _ in range(_PROCESSES)]
    later = ran(package, "--warmup", "20", "--repeat", str(_RUNS))
    opened = [report["open_ns"] / 1e6 for report in first]
    runs = [report["samples_ns"][0] / 1e6 for report in first]
    return Opening(
        open_ms=median(opened),
        first_run_ms=median(runs),
        run_ms=later["run_ns"]["p50"] / 1e6,
        total_ms=median(a + b for a, b in zip(opened, runs, strict=True)),
        peak_kb=median(report["peak_memory_kb"] for report in first),
        model_kb=(later["arena_bytes"] + later["library_bytes"]) / 1024,
        library_kb=later["library_bytes"] / 1024,
    )
