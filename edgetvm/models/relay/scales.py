"""What of a Relay program is quantised, as its operators say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.model import QuantisedTensors, counted
from edgetvm.models.relay.ast import Call, Constant, Expr, Program, Var, reachable

# Operators that sum products, with the argument that holds the weights' scale.
_WEIGHTED = {
    **{f"nn.{kind}": None for kind in ("conv1d", "conv2d", "conv3d", "dense", "batch_matmul")},
    **{f"qnn.{kind}": 5 for kind in ("conv2d", "dense", "conv2d_transpose", "batch_matmul")},
}
_QUANTISES = {"qnn.quantize": "int8", "qnn.requantize": "int8"}
_EIGHT_BITS = ("int8", "uint8")


def quantised_tensors(
    program: Program,
    parameters: Mapping[str, Var],
    constants: Mapping[str, NDArray[np.generic]],
) -> tuple[QuantisedTensors, ...]:
    """The program's 8-bit weights and activations.

    Args:
        program: whose operators are all known.
        parameters: of `main`, by name.
        constants: those of them that have a value.
    """
    values = {id(parameters[name]): array for name, array in constants.items()}

    def array_of(node: Expr) -> NDArray[np.generic] | None:
        return node.array if isinstance(node, Constant) else values.get(id(node))

    found: dict[int, tuple[str, str, bool]] = {}
    for node in reachable(program):
        if not isinstance(node, Call) or not isinstance(node.callee, str):
            continue
        if node.callee in _QUANTISES:
            dtype = str(node.attributes.get("out_dtype", _QUANTISES[node.callee]))
            if dtype in _EIGHT_BITS:
                found[id(node)] = ("activations", dtype, False)
        if node.callee in _WEIGHTED and len(node.arguments) > 1:
            weight = array_of(node.arguments[1])
            if weight is not None and weight.dtype.name in _EIGHT_BITS:
                at = _WEIGHTED[node.callee]
                scale = array_of(node.arguments[at]) if at and at < len(node.arguments) else None
                per_channel = scale is not None and scale.size > 1
                found[id(node.arguments[1])] = ("weights", weight.dtype.name, per_channel)
    return counted(found.values())
