"""Small ONNX models, compiled for this machine and compared with ONNX Runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.compile.artifact import Kernel
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.models import import_model
from edgetvm.package.executor import Executor

Array = NDArray[np.float32]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph(
    path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, Array], constants: dict[str, Any]
) -> Path:
    """A model file of those nodes; its only output is `out`."""
    floats = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in inputs.items()
    }
    made = helper.make_graph(
        nodes,
        "g",
        list(floats.values()),
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def check(
    path: Path,
    inputs: dict[str, Array],
    cores: int = 2,
    tolerance: float = 1e-4,
    options: CompileOptions = DEFAULTS,
) -> list[str]:
    """Compare with ONNX Runtime, the worst element by the largest; the rules that were taken."""
    return [kernel.rule for kernel in checked(path, inputs, cores, tolerance, options)]


def checked(
    path: Path,
    inputs: dict[str, Array],
    cores: int = 2,
    tolerance: float = 1e-4,
    options: CompileOptions = DEFAULTS,
) -> tuple[Kernel, ...]:
    """Compare with ONNX Runtime, the worst element by the largest; the kernels."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, inputs)
    profile = dataclasses.replace(load_profile("local"), cores=cores)
    artifact = compile_model(import_model(path), profile, options=options)
    (answer,) = Executor(artifact.library, artifact.signature).run(inputs).values()
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= tolerance * np.abs(expected).max()
    return artifact.kernels
