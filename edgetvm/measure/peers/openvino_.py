"""OpenVINO on its CPU plugin: float32 as such (it would take bfloat16), tuned for latency."""

from __future__ import annotations

from functools import partial
from typing import Any

from edgetvm.measure.peers.case import Arrays, Case, Task


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """Threads free, and pinned to cores."""
    return ("", "pinned")


def prepare(task: Task) -> None:
    """Nothing: it reads the file as it is."""


class _Loaded:
    def __init__(self, task: Task) -> None:
        import openvino
        import openvino.properties as have
        from openvino.properties import hint

        case = task.case
        core = openvino.Core()
        model = core.read_model(str(case.file))
        arrays = case.input_arrays()
        model.reshape(
            {
                port: list(array.shape)
                for port, array in zip(model.inputs, _ordered(model, case, arrays), strict=True)
            }
        )
        compiled = core.compile_model(
            model,
            "CPU",
            {
                hint.inference_precision: openvino.Type.f32,
                hint.performance_mode: hint.PerformanceMode.LATENCY,
                hint.enable_cpu_pinning: task.setting == "pinned",
                have.inference_num_threads: task.threads,
                have.num_streams: 1,
            },
        )
        self.facts: dict[str, Any] = {
            "version": openvino.get_version().split("-")[0],
            "precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
        }
        self._request = compiled.create_infer_request()
        for port, array in zip(compiled.inputs, _ordered(model, case, arrays), strict=True):
            self._request.set_tensor(port, openvino.Tensor(array.copy()))
        self._outputs = list(compiled.outputs)
        # Python's wrapper of it builds a dictionary of outputs at each call.
        native = openvino._pyopenvino.InferRequest.infer
        self.run = partial(native, self._request, {}, True, False)

    def outputs(self) -> Arrays:
        self.run()
        return [self._request.get_tensor(port).data.copy() for port in self._outputs]


def _ordered(model: Any, case: Case, arrays: Arrays) -> Arrays:
    """The arrays in the order of the model's inputs, which is that of names or of the file."""
    by_name = dict(zip(case.inputs, arrays, strict=True))
    try:
        return [by_name[next(n for n in port.get_names() if n in by_name)] for port in model.inputs]
    except StopIteration:
        return arrays


def load(task: Task) -> _Loaded:
    """A compiled model and its one request."""
    return _Loaded(task)
