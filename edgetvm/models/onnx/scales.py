"""What of an ONNX file is quantised, as its own operators say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgetvm.models.model import Quantisation, QuantisedTensors, counted

if TYPE_CHECKING:
    import numpy as np
    import onnx

# Operator to (quantised input, its scale if it has one, its zero point), by position.
_INPUTS: dict[str, tuple[tuple[int, int | None, int], ...]] = {
    "DequantizeLinear": ((0, 1, 2),),
    "QLinearConv": ((0, 1, 2), (3, 4, 5)),
    "QLinearMatMul": ((0, 1, 2), (3, 4, 5)),
    "ConvInteger": ((0, None, 2), (1, None, 3)),
    "MatMulInteger": ((0, None, 2), (1, None, 3)),
    "MatMulIntegerToFloat": ((0, 2, 4), (1, 3, 5)),
    "DynamicQuantizeMatMul": ((1, 2, 3),),
    "DynamicQuantizeLSTM": ((1, 8, 9), (2, 10, 11)),
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
_STEPS = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "DynamicQuantizeLSTM": 10}
# Those that find the step themselves, from the range of their first input.
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
# Of a step. Sums in another order differ by less than a millionth; of many values, few lie so near
# to the border between two integers. Ten times as much makes some fall to the other side.
_MOVED = 1e-5


def with_moved_steps(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model, changed: each quantiser divides by a little more or less than it did.

    What it stands for afterwards is as before, so that only values on a border change. Where the
    step comes from the range of the data, they are moved themselves.
    """
    import numpy as np

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    generator = np.random.default_rng(seed)
    nodes: list[onnx.NodeProto] = []
    for at, node in enumerate(model.graph.node):
        if node.op_type in _DYNAMIC:
            nodes += _moving(node, f"{node.input[0]} moved {at}", seed + at)
        place = _STEPS.get(node.op_type)
        if place is not None and node.input[place] in constants:
            step = constants[node.input[place]]
            model.graph.initializer.append(_moved(step, f"{step.name} moved {at}", generator))
            node.input[place] = model.graph.initializer[-1].name
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _moved(step: onnx.TensorProto, name: str, generator: np.random.Generator) -> onnx.TensorProto:
    import numpy as np
    from onnx import numpy_helper

    array = numpy_helper.to_array(step)
    factors = 1 + _MOVED * generator.uniform(-1, 1, array.shape)
    return numpy_helper.from_array(np.asarray(array * factors, array.dtype), name)


def _moving(node: onnx.NodeProto, name: str, seed: int) -> list[onnx.NodeProto]:
    """Nodes that move a node's first input, each element by a little; it reads what they made."""
    from onnx import helper

    factors = f"{name} by"
    made = [
        helper.make_node(
            "RandomUniformLike",
            [node.input[0]],
            [factors],
            low=1 - _MOVED,
            high=1 + _MOVED,
            seed=float(seed),
        ),
        helper.make_node("Mul", [node.input[0], factors], [name]),
    ]
    node.input[0] = name
    return made


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
    """Tensor, its scale, and its zero point, whose dtype is the tensor's; "" for what it lacks."""
    for node in graph.node:
        for places in _INPUTS.get(node.op_type, ()):
            tensor, scale, zero_point = (
                node.input[place] if place is not None and place < len(node.input) else ""
                for place in places
            )
            yield tensor, scale, zero_point
