"""What is done to ONNX files before any peer sees them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgetvm.measure.peers.case import Unavailable

_LEAST_IR = 8


def fixed(
    model: Any,
    shapes: Mapping[str, tuple[int, ...]],
    bindings: Mapping[str, int | float | list[int] | list[float]],
) -> Any:
    """The model with its inputs' shapes fixed, and inputs that are constants bound.

    Raises:
        Unavailable: an input's shape is open.
    """
    import onnx
    from onnx import numpy_helper

    # Weights that are inputs too are not constants to ONNX Runtime.
    model.ir_version = max(model.ir_version, _LEAST_IR)
    graph = model.graph
    constant = {one.name for one in graph.initializer}
    for entry in list(graph.input):
        if entry.name in constant:
            graph.input.remove(entry)
        elif entry.name in bindings:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
            shape = [axis.dim_value for axis in entry.type.tensor_type.shape.dim]
            value = np.full(shape, bindings[entry.name], dtype)
            graph.initializer.append(numpy_helper.from_array(value, entry.name))
            graph.input.remove(entry)
    for entry in graph.input:
        axes = entry.type.tensor_type.shape.dim
        if entry.name in shapes:
            for axis, size in zip(axes, shapes[entry.name], strict=True):
                axis.ClearField("dim_param")
                axis.dim_value = size
        elif any(axis.dim_value < 1 for axis in axes):
            raise Unavailable(f"input {entry.name} has open axes: give --shape {entry.name}=SIZES")
    # Shapes that were written for open axes would contradict the fixed ones.
    del graph.value_info[:]
    for entry in graph.output:
        for axis in entry.type.tensor_type.shape.dim:
            axis.ClearField("dim_value")
            axis.ClearField("dim_param")
    return onnx.shape_inference.infer_shapes(model)


def simplified(path: Path, target: Path) -> Path | None:
    """The file after onnxsim, or None where that fails."""
    import onnx
    import onnxsim

    try:
        model, _ = onnxsim.simplify(onnx.load(path))
        onnx.checker.check_model(model)
        onnx.save(model, target)
    except Exception:  # it has many ways to fail, and the file as it is remains
        return None
    return target
