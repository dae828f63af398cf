"""edgetvm: the library's defaults, or a tuning database's schedules.

A package in the C runtime, as boards run it; inputs are set before, and timed is `edgetvm_run`.
Models that need TVM's virtual machine are run by that: timed is `Executor.invoke`.
"""

from __future__ import annotations

import dataclasses
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.latency.case import OwnTask
from edgetvm.measure.peers.case import Arrays, Case

if TYPE_CHECKING:
    from edgetvm.compile.artifact import Artifact
    from edgetvm.models import Model


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """One."""
    return ("",)


class _Loaded:
    def __init__(self, task: OwnTask) -> None:
        from edgetvm.base.version import __version__
        from edgetvm.boards.profile import load_profile
        from edgetvm.compile import compile_model
        from edgetvm.compile.tuned import UNTUNED
        from edgetvm.models import import_model
        from edgetvm.workflow.tuning import tuned_schedules

        profile = dataclasses.replace(load_profile("local"), cores=task.threads)
        began_s = time.monotonic()
        model = import_model(task.case.file)
        imported_s = time.monotonic()
        tuned = UNTUNED
        if task.engine == "edgetvm-tuned":
            tuned = tuned_schedules(load_profile("local"), database=task.tuning_database)
        artifact = compile_model(model, profile, tuned=tuned)
        self.facts: dict[str, Any] = {
            "version": __version__,
            "import_s": imported_s - began_s,
            "compile_s": time.monotonic() - imported_s,
            "library_bytes": len(artifact.library),
            "kernels": len(artifact.kernels),
            "tuned_kernels": sum(kernel.schedule == "tuned" for kernel in artifact.kernels),
            "multiply_adds": sum(model.multiply_adds.values()),
            "parameter_bytes": sum(
                count * np.dtype(_WIDE.get(dtype, dtype)).itemsize
                for dtype, count in model.parameters.items()
            ),
        }
        signature = artifact.signature
        states = signature.initial_states()
        names = [spec.name for spec in signature.inputs if spec.name not in states]
        given = dict(zip(names, task.case.input_arrays(), strict=True)) | states
        kept = {state.output for state in signature.states}
        self._names = [spec.name for spec in signature.outputs if spec.name not in kept]
        opened = _in_c if artifact.executor == "native" else _in_tvm
        self.run, self._answers = opened(artifact, model, given, task.threads)

    def outputs(self) -> Arrays:
        found = self._answers()
        return [found[name] for name in self._names]


Runs = tuple[Callable[[], object], Callable[[], dict[str, Any]]]


def _in_c(artifact: Artifact, model: Model, given: dict[str, Any], threads: int) -> Runs:
    """One run without what it answers with, and with it."""
    from edgetvm.package import check, write_package
    from edgetvm.package.binding import edgetvm_lite
    from edgetvm.package.crossbuild import build_runtime

    runtime = build_runtime(platform.machine(), "glibc")
    checked = check(artifact, model, given, allow_mismatch=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.edgetvm")
        write_package(
            file, artifact, checked.correctness, checked.sample_inputs, checked.sample_outputs
        )
        opened = edgetvm_lite.Model(file, threads, library=runtime.folder)
    opened.run(given)
    return opened.invoke, lambda: opened.run(given)


def _in_tvm(artifact: Artifact, model: Model, given: dict[str, Any], threads: int) -> Runs:
    from edgetvm.package.executor import Executor

    executor = Executor(artifact.library, artifact.signature, threads)
    executor.set_inputs(given)
    # Without the two stamps of `run_ns`, which other engines do not pay for.
    return executor.invoke, lambda: executor.run(given)


# numpy has no name of its own for these.
_WIDE = {"int4": "int8", "uint4": "uint8", "bfloat16": "float16"}


def load(task: OwnTask) -> _Loaded:
    """Import, compile and load in this process."""
    return _Loaded(task)
