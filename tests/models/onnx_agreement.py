"""Models made node by node, compiled, and compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgetvm.boards.profile import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.package.executor import Executor

Arrays = dict[str, NDArray[Any]]


def make(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Arrays,
    outputs: Sequence[str],
    constants: Arrays | None = None,
    opset: int = 17,
    types: dict[str, str] | None = None,
) -> Path:
    """Write a model. Its outputs have the type that ONNX infers, or that of `types`, or float32."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in inputs.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    model = onnx.shape_inference.infer_shapes(model)
    for output in model.graph.output:
        if not output.type.HasField("tensor_type"):
            dtype = np.dtype((types or {}).get(output.name, "float32"))
            output.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(dtype)
    path.write_bytes(model.SerializeToString())
    return path


def compiled(path: Path, inputs: Arrays) -> tuple[Model, dict[str, NDArray[Any]]]:
    """Import, compile, run."""
    model = import_model(path, ImportOptions())
    artifact = compile_model(model, load_profile("local"))
    return model, Executor(artifact.library, artifact.signature).run(inputs)


def by_onnxruntime(path: Path, inputs: Arrays) -> list[NDArray[Any]]:
    """ONNX Runtime's answers, without its own fusions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def by_evaluator(path: Path, inputs: Arrays) -> list[NDArray[Any]]:
    """The onnx package's own evaluator: for what ONNX Runtime lacks."""
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(onnx.load(path)).run(None, inputs))  # type: ignore[arg-type]


def agree(
    path: Path, inputs: Arrays, reference: Any = by_onnxruntime, tolerance: float = 2e-5
) -> Model:
    """Assert that the compiled model answers as the reference does; integers exactly."""
    model, found = compiled(path, inputs)
    for array, expected in zip(found.values(), reference(path, inputs), strict=True):
        assert array.shape == expected.shape
        assert array.dtype == expected.dtype
        if expected.dtype.kind in "iub":
            np.testing.assert_array_equal(array, expected)
        else:
            np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)
    return model


__all__ = ["agree", "by_evaluator", "by_onnxruntime", "compiled", "make"]
