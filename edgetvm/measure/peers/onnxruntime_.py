"""ONNX Runtime: all graph optimisations, its thread pool spinning, inputs and outputs bound."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.measure.peers.case import Arrays, Case, Task
from edgetvm.measure.peers.conversion import converted


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """The file as it is; after onnxsim; a transformer after ONNX Runtime's own tool for them."""
    if case.format != "onnx":
        return ()
    found = ("", "simplified") if case.simplified else ("",)
    return (*found, "transformer") if case.operators >= _TRANSFORMER else found


_TRANSFORMER = {"LayerNormalization", "Softmax"}


def _fused(case: Case, made: Path) -> None:
    from onnxruntime.transformers import optimizer

    # It finds the number of heads and the width in the graph.
    model = optimizer.optimize_model(
        str(case.file), model_type="bert", num_heads=0, hidden_size=0, opt_level=0
    )
    model.save_model_to_file(str(made / "model.onnx"))


def _file(task: Task) -> Path:
    case = task.case
    if task.setting == "transformer":
        return converted(case, "transformer", lambda made: _fused(case, made)) / "model.onnx"
    return case.simplified if task.setting == "simplified" and case.simplified else case.file


def prepare(task: Task) -> None:
    """A transformer's operators are fused by ONNX Runtime's tool."""
    _file(task)


class _Loaded:
    def __init__(self, task: Task) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = task.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        # Zero where a product would be subnormal, which costs a hundredfold and no engine needs.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        case = task.case
        self.facts: dict[str, Any] = {"version": onnxruntime.__version__}
        session = onnxruntime.InferenceSession(
            str(_file(task)), options, providers=["CPUExecutionProvider"]
        )
        arrays = dict(zip(case.inputs, case.input_arrays(), strict=True))
        names = [entry.name for entry in session.get_outputs()]
        first = session.run(None, arrays)
        binding = session.io_binding()
        for entry in session.get_inputs():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(arrays[entry.name])
            binding.bind_ortvalue_input(entry.name, value)
        self._results = [
            onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros_like(array)) for array in first
        ]
        for name, value in zip(names, self._results, strict=True):
            binding.bind_ortvalue_output(name, value)
        self._session, self._binding = session, binding
        self.run = partial(session._sess.run_with_iobinding, binding._iobinding, None)

    def outputs(self) -> Arrays:
        self.run()
        return [value.numpy().copy() for value in self._results]


def load(task: Task) -> _Loaded:
    """A session."""
    return _Loaded(task)
