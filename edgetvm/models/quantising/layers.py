"""What of a graph can be quantised, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

# All else is computed in float, in the kernel of the product before it: rounding in between costs
# accuracy and time.
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """A convolution or product.

    Attributes:
        name: of its node.
        operator: of its node.
    """

    name: str
    operator: str


def layers_of(graph: onnx.ModelProto) -> tuple[Layer, ...]:
    """The convolutions and products of a graph, in order.

    Args:
        graph: each node with a name of its own.
    """
    nodes = graph.graph.node
    return tuple(Layer(node.name, node.op_type) for node in nodes if node.op_type in PRODUCTS)
