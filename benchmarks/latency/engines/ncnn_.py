"""ncnn, float32 throughout, converted by pnnx.

A run makes an extractor, gives it the inputs and extracts the outputs: ncnn keeps nothing set.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.case import Arrays, Case, Task, Unavailable
from benchmarks.latency.conversion import converted

_TIMEOUT_S = 600


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """With Winograd and without, which is faster on some small maps. Float ONNX files only."""
    return ("", "direct") if case.format == "onnx" and case.kind == "fp32" else ()


class _Loaded:
    def __init__(self, task: Task) -> None:
        import ncnn

        folder = files(task.case)
        self.facts: dict[str, Any] = {"version": ncnn.__version__}
        self._ncnn = ncnn
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = task.threads
        options.use_vulkan_compute = False
        options.use_winograd_convolution = task.setting != "direct"
        for name in dir(options):
            if name.startswith("use_") and ("fp16" in name or "bf16" in name):
                setattr(options, name, False)
        self._allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        options.blob_allocator, options.workspace_allocator = self._allocators
        if self._net.load_param(str(folder / "model.ncnn.param")):
            raise Unavailable("ncnn cannot load what pnnx made of it")
        if self._net.load_model(str(folder / "model.ncnn.bin")):
            raise Unavailable("ncnn cannot load the weights that pnnx wrote")
        self._inputs = [
            (name, ncnn.Mat(array).clone())
            for name, array in zip(self._net.input_names(), inputs(task.case, folder), strict=True)
        ]
        self._outputs = list(self._net.output_names())
        self._shapes = [array.shape for array in task.case.expected()]

    def run(self) -> list[Any]:
        extractor = self._net.create_extractor()
        for name, mat in self._inputs:
            extractor.input(name, mat)
        found = []
        for name in self._outputs:
            code, mat = extractor.extract(name)
            if code:
                raise Unavailable(f"ncnn fails on it: {name} gives code {code}")
            found.append(mat)
        return found

    def outputs(self) -> Arrays:
        return [np.array(mat).copy() for mat in self.run()]


def files(case: Case) -> Path:
    """The folder with what pnnx made of a case: `model.ncnn.param`, `model.ncnn.bin`.

    Raises:
        Unavailable: pnnx is not installed, or cannot convert the model.
    """
    return converted(case, "ncnn", lambda made: _convert(case, made))


def inputs(case: Case, folder: Path) -> Arrays:
    """The case's inputs as ncnn takes them: without a batch, of 32 bits."""
    # pnnx writes a script that shows which axis of each tensor is the batch, which ncnn lacks.
    script = (folder / "model_ncnn.py").read_text()
    batched = re.search(r"ex\.input\(.*batch_index=0", script) is not None

    def one(array: np.ndarray) -> np.ndarray:
        without = (batched or array.shape[0] == 1) and array.ndim > 1
        array = np.ascontiguousarray(array.squeeze(0) if without else array)
        return array if array.dtype == np.float32 else array.astype(np.int32)

    return [one(array) for array in case.input_arrays()]


def _convert(case: Case, made: Path) -> None:
    """Run pnnx, which writes beside the file that it reads."""
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise Unavailable("pnnx is not installed")
    source = made / "model.onnx"
    source.symlink_to((case.simplified or case.file).resolve())
    done = subprocess.run(
        [str(Path(spec.origin).with_name("pnnx")), str(source), "fp16=0"],
        cwd=made,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode or not (made / "model.ncnn.param").exists():
        said = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise Unavailable(f"pnnx ended with {done.returncode}: {said[-1]:.200}")
    unknown = sorted(
        {
            line.split()[0]
            for line in (made / "model.ncnn.param").read_text().splitlines()[2:]
            if "." in line.split()[0] or line.startswith("aten") or line.startswith("prim")
        }
    )
    if unknown:
        raise Unavailable(f"pnnx leaves operators that ncnn has not: {', '.join(unknown)}")


def load(task: Task) -> _Loaded:
    """A net."""
    return _Loaded(task)
