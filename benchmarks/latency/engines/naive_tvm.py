"""TVM as it comes: the same imported graph, TVM's own default pipeline, nothing scheduled.

With the setting `metaschedule`, which benchmarks.tuning asks for, it is scheduled by MetaSchedule's
database in the folder that the task names.
"""

from __future__ import annotations

import ctypes
import dataclasses
import time
from functools import partial
from typing import Any

from benchmarks.latency.case import OwnTask
from edgetvm.measure.peers.case import Arrays, Case


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """One."""
    return ("",)


METASCHEDULE = "metaschedule"


def _built(task: OwnTask, module: Any, target: Any) -> Any:
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms

    if task.setting != METASCHEDULE:
        return relax.build(module, target=target)
    database = ms.database.JSONDatabase(work_dir=str(task.tuning_database), allow_missing=False)
    return ms.relax_integration.compile_relax(database, module, target, {})


class _Loaded:
    def __init__(self, task: OwnTask) -> None:
        import tvm
        from tvm import relax

        from edgetvm.boards.profile import load_profile
        from edgetvm.compile import target_for
        from edgetvm.models import import_model

        # Code in memory finds libm's functions in the global scope only.
        ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
        model = import_model(task.case.file)
        target = target_for(dataclasses.replace(load_profile("local"), cores=task.threads))
        began_s = time.monotonic()
        executable = _built(task, model.module, target)
        self.facts: dict[str, Any] = {
            "version": tvm.__version__,
            "compile_s": time.monotonic() - began_s,
        }
        machine = relax.VirtualMachine(executable, tvm.cpu())
        states = model.signature.initial_states()
        arrays = iter(task.case.input_arrays())
        given = [
            states[spec.name] if spec.name in states else next(arrays)
            for spec in model.signature.inputs
        ]
        machine.set_input("main", *(tvm.runtime.tensor(array) for array in given))
        self._machine = machine
        self.run = partial(machine.module["invoke_stateful"], "main")

    def outputs(self) -> Arrays:
        self.run()
        results = self._machine.get_outputs("main")
        if hasattr(results, "numpy"):
            results = [results]
        return [result.numpy() for result in results]


def load(task: OwnTask) -> _Loaded:
    """Build and load in this process."""
    return _Loaded(task)
