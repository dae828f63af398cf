"""LiteRT with its XNNPACK delegate, which it applies by itself. Inputs are set before."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from edgetvm.measure.peers.case import Arrays, Case, Task


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """One; TFLite files only."""
    return ("",) if case.format == "tflite" else ()


def prepare(task: Task) -> None:
    """Nothing: it reads the file as it is."""


class _Loaded:
    def __init__(self, task: Task) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.facts: dict[str, Any] = {"version": version("ai-edge-litert")}
        self._interpreter = Interpreter(model_path=str(task.case.file), num_threads=task.threads)
        arrays = task.case.input_arrays()
        for detail, array in zip(self._interpreter.get_input_details(), arrays, strict=True):
            if tuple(detail["shape"]) != array.shape:
                self._interpreter.resize_tensor_input(detail["index"], array.shape)
        self._interpreter.allocate_tensors()
        self._arrays = arrays
        self._set()
        self.run = self._interpreter.invoke

    def _set(self) -> None:
        details = self._interpreter.get_input_details()
        for detail, array in zip(details, self._arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)

    def outputs(self) -> Arrays:
        # A recurrent model's variables keep what the last run left.
        self._interpreter.reset_all_variables()
        self._set()
        self._interpreter.invoke()
        details = self._interpreter.get_output_details()
        return [self._interpreter.get_tensor(detail["index"]) for detail in details]


def load(task: Task) -> _Loaded:
    """An interpreter."""
    return _Loaded(task)
