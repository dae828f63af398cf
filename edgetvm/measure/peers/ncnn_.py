"""ncnn, float32 throughout, converted by pnnx.

A run makes an extractor, gives it the inputs and extracts the outputs: ncnn keeps nothing set.
"""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.measure.peers.case import Arrays, Case, Task, Unavailable
from edgetvm.measure.peers.conversion import converted

_PNNX = "pnnx==20261020"
_PNNX_SHA256 = {
    "x86_64": "4db234cb90a27dc15e04e0d0edf5706c7a488ab8e6235cf8c146c6ec80fd9355",
    "aarch64": "1f55df74080eabb048cb122215f290d16e1bf82309c1a67662c91c437e96471e",
}
_TIMEOUT_S = 600


def settings(case: Case, threads: int) -> tuple[str, ...]:
    """With Winograd and without, which is faster on some small maps. Float ONNX files only."""
    return ("", "direct") if case.format == "onnx" and case.kind == "fp32" else ()


def prepare(task: Task) -> None:
    """pnnx converts the model."""
    files(task)


class _Loaded:
    def __init__(self, task: Task) -> None:
        import ncnn

        folder = files(task)
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
        names = self._net.input_names()
        self._inputs = [
            (name, ncnn.Mat(array).clone())
            for name, array in zip(names, inputs(task.case, folder), strict=True)
        ]
        self._outputs = list(self._net.output_names())

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


def _pnnx() -> Path:
    """The converter, out of its wheel: installed, it would bring PyTorch, which it does not need.

    Raises:
        Unavailable: it cannot be had.
    """
    from edgetvm.base.errors import EdgetvmError
    from edgetvm.recipes import ModelFile, fetch

    sha256 = _PNNX_SHA256.get(platform.machine())
    if sha256 is None:
        raise Unavailable(f"there is no pnnx for {platform.machine()}")
    try:
        path = fetch(ModelFile(package=_PNNX, file="pnnx/pnnx", sha256=sha256))
    except EdgetvmError as error:
        raise Unavailable(str(error)) from None
    path.chmod(0o755)
    return path


def files(task: Task) -> Path:
    """The folder with what pnnx made of the task's model: `model.ncnn.param`, `model.ncnn.bin`.

    Raises:
        Unavailable: there is no pnnx, or it cannot convert the model.
    """
    return converted(task.case, "ncnn", lambda made: _convert(task, made))


def inputs(case: Case, folder: Path) -> Arrays:
    """The case's inputs as ncnn takes them: without a batch, of 32 bits."""
    # pnnx writes a script that shows which axis of each tensor is the batch, which ncnn lacks.
    lines = re.findall(r"ex\.input\(.*", (folder / "model_ncnn.py").read_text())
    found: Arrays = []
    for array, said in zip(case.input_arrays(), lines, strict=True):
        whole = array.squeeze(0) if "batch_index=0" in said else array
        kind = np.float32 if whole.dtype == np.float32 else np.int32
        found.append(np.ascontiguousarray(whole, kind))
    return found


def _convert(task: Task, made: Path) -> None:
    """Run pnnx, which writes beside the file that it reads."""
    source = made / "model.onnx"
    source.symlink_to((task.case.simplified or task.case.file).resolve())
    done = subprocess.run(
        [str(_pnnx()), str(source), "fp16=0"],
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
