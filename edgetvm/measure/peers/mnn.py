"""MNN: a session of its CPU backend. Inputs are set before.

The converter is called through its native module: MNN's command of that name installs a package
and reports home.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.measure.peers.case import Arrays, Case, Task, Unavailable
from edgetvm.measure.peers.conversion import converted


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """Precision high and normal, both float32 on x86."""
    return ("", "normal")


def prepare(task: Task) -> None:
    """MNN's converter converts the model."""
    _files(task)


def _files(task: Task) -> Path:
    return converted(task.case, "mnn", lambda made: _convert(task.case, made))


class _Loaded:
    def __init__(self, task: Task) -> None:
        import MNN

        folder = _files(task)
        self.facts: dict[str, Any] = {"version": MNN.version()}
        self._mnn = MNN
        self._interpreter = MNN.Interpreter(str(folder / "model.mnn"))
        self._session = self._interpreter.createSession(
            {
                "backend": "CPU",
                "numThread": task.threads,
                "precision": task.setting or "high",
                "power": "high",
                "memory": "high",
            }
        )
        found = self._interpreter.getSessionInputAll(self._session)
        arrays = dict(zip(task.case.inputs, task.case.input_arrays(), strict=True))
        if set(found) != set(arrays):
            raise Unavailable(f"its inputs are {', '.join(found)}")
        self._kept = [self._tensor(tensor, arrays[name]) for name, tensor in found.items()]
        results = self._interpreter.getSessionOutputAll(self._session)
        if set(task.case.outputs) <= set(results):
            results = {name: results[name] for name in task.case.outputs}
        self._outputs = list(results.values())
        self.run = partial(self._interpreter.runSession, self._session)

    def _tensor(self, tensor: Any, array: np.ndarray) -> Any:
        """Copies the array into a session's tensor."""
        array = array.astype(self._dtype(tensor))
        given = self._mnn.Tensor(array.shape, tensor.getDataType(), array, self._layout(tensor))
        if not tensor.copyFrom(given):
            raise Unavailable("an input cannot be set")
        return given

    def _layout(self, tensor: Any) -> Any:
        """Of a session's tensor outside the session, where channels are not in fours."""
        own = tensor.getDimensionType()
        tensorflow = self._mnn.Tensor_DimensionType_Tensorflow
        return own if own == tensorflow else self._mnn.Tensor_DimensionType_Caffe

    def _dtype(self, tensor: Any) -> Any:
        """Of a session's tensor, which may be narrower than the file's."""
        known = {"Float": np.float32, "Int": np.int32, "Int64": np.int64, "Uint8": np.uint8}
        for name, dtype in known.items():
            if tensor.getDataType() is getattr(self._mnn, f"Halide_Type_{name}"):
                return dtype
        raise Unavailable("it has a type of numbers that MNN's Python package cannot pass")

    def outputs(self) -> Arrays:
        self.run()
        answers = []
        for tensor in self._outputs:
            array = np.zeros(tensor.getShape(), self._dtype(tensor))
            host = self._mnn.Tensor(
                tensor.getShape(), tensor.getDataType(), array, self._layout(tensor)
            )
            tensor.copyToHostTensor(host)
            answers.append(np.array(host.getNumpyData()))
        return answers


# MNN's converter dies of some models, and of LSTM layers unless it keeps them whole.
_FLAGS: tuple[tuple[str, ...], ...] = ((), ("--useOriginRNNImpl",))
_PROGRAM = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"
_TIMEOUT_S = 600


def _convert(case: Case, made: Path) -> None:
    if find_spec("MNN") is None:
        raise Unavailable("MNN's converter is not installed here: pip install 'edgetvm[bench]'")
    onnx = case.format == "onnx"
    source = case.simplified if onnx and case.simplified else case.file
    target = made / "model.mnn"
    arguments = ["-f", "ONNX" if onnx else "TFLITE", "--modelFile", str(source)]
    arguments += ["--MNNModel", str(target), "--bizCode", "edgetvm"]
    for flags in _FLAGS:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments, *flags],
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode == 0 and target.exists():
            return
        target.unlink(missing_ok=True)
    raise Unavailable(f"MNN's converter fails on it (exit code {done.returncode})")


def load(task: Task) -> _Loaded:
    """A session."""
    return _Loaded(task)
