"""What of an ONNX file is quantised, as its own operators say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgetvm.models.model import Quantisation, QuantisedTensors, counted

if TYPE_CHECKING:
    import onnx

# Operator to (quantised input, its scale), by position.
_INPUTS: dict[str, tuple[tuple[int, int], ...]] = {
    "DequantizeLinear": ((0, 1),),
    "QLinearConv": ((0, 1), (3, 4)),
    "QLinearMatMul": ((0, 1), (3, 4)),
}


def quantised_tensors(model: onnx.ModelProto) -> tuple[QuantisedTensors, ...]:
    """The file's quantised weights and activations."""
    from onnx import helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            constants[node.output[0]] = node.attribute[0].t
    types = {tensor.name: tensor.data_type for tensor in constants.values()}
    found: dict[str, tuple[str, str, bool]] = {}
    for name, scale, zero_point in _quantised(model.graph):
        code = types.get(name) or types.get(zero_point)
        dtype = helper.tensor_dtype_to_np_dtype(code).name if code else "uint8"
        per_channel = scale in constants and math.prod(constants[scale].dims) > 1
        if dtype != "int32":  # biases follow from the two others
            found[name] = ("weights" if name in constants else "activations", dtype, per_channel)
    return counted(found.values())


def is_quantised(path: Path) -> bool:
    """Whether an ONNX file has quantised tensors."""
    import onnx

    return bool(quantised_tensors(onnx.load(path, load_external_data=False)))


# Where an operator that rounds to integers has the step that it divides by, by position.
_STEPS = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6}
# Of a step. Sums in another order differ by less than a millionth; of many values, few lie so near
# to the border between two integers. Ten times as much makes some fall to the other side.
_MOVED = 1e-5


def with_moved_steps(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model, changed: each quantiser divides by a little more or less than it did.

    What it stands for afterwards is as before, so that only values on a border change.
    """
    import numpy as np
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    generator = np.random.default_rng(seed)
    for at, node in enumerate(model.graph.node):
        place = _STEPS.get(node.op_type)
        if place is None or node.input[place] not in constants:
            continue
        step = numpy_helper.to_array(constants[node.input[place]])
        moved = step * (1 + _MOVED * generator.uniform(-1, 1, step.shape))
        node.input[place] = f"{node.input[place]} moved {at}"
        tensor = numpy_helper.from_array(np.asarray(moved, step.dtype), node.input[place])
        model.graph.initializer.append(tensor)
    return model


def output_quantisation(model: onnx.ModelProto) -> dict[str, Quantisation]:
    """How the outputs that are made from integers in the last place stand for them, by name."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {entry.name for entry in model.graph.output}
    found = {}
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.output[0] not in outputs:
            continue
        known = [numpy_helper.to_array(constants[n]) for n in node.input[1:] if n in constants]
        if known and known[0].size == 1:
            zero_point = int(known[1].reshape(-1)[0]) if len(known) > 1 else 0
            found[node.output[0]] = Quantisation(float(known[0].reshape(-1)[0]), zero_point)
    return found


def _quantised(graph: onnx.GraphProto) -> Iterator[tuple[str, str, str]]:
    """Tensor, its scale, and its zero point, whose dtype is the tensor's."""
    for node in graph.node:
        for position, scale in _INPUTS.get(node.op_type, ()):
            if scale < len(node.input):
                zero_point = node.input[scale + 1] if scale + 1 < len(node.input) else ""
                yield node.input[position], node.input[scale], zero_point
