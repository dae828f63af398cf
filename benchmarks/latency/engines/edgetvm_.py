"""edgetvm: the library's defaults, or a tuning database's schedules.

Inputs are set before; timed is `Executor.invoke`.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from benchmarks.latency.case import OwnTask
from edgetvm.measure.peers.case import Arrays, Case


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
        from edgetvm.package.executor import Executor
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
        self._executor = Executor(artifact.library, artifact.signature, task.threads)
        signature = artifact.signature
        states = signature.initial_states()
        names = [spec.name for spec in signature.inputs if spec.name not in states]
        given = dict(zip(names, task.case.input_arrays(), strict=True)) | states
        self._executor.set_inputs(given)
        kept = {state.output for state in signature.states}
        self._names = [spec.name for spec in signature.outputs if spec.name not in kept]
        # Without the two stamps of `run_ns`, which other engines do not pay for.
        self.run = self._executor.invoke

    def outputs(self) -> Arrays:
        self.run()
        found = self._executor.outputs()
        return [found[name] for name in self._names]


# numpy has no name of its own for these.
_WIDE = {"int4": "int8", "uint4": "uint8", "bfloat16": "float16"}


def load(task: OwnTask) -> _Loaded:
    """Import, compile and load in this process."""
    return _Loaded(task)
