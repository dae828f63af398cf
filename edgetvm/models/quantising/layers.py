"""What of a graph is quantised together, or left in float together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_HEADS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """A product and all that is done to its result up to the next one.

    Between them there is nothing to be won by changing from integers to floats and back.

    Attributes:
        name: of its first node.
        operator: of its first node.
        nodes: names of those that can be quantised.
    """

    name: str
    operator: str
    nodes: tuple[str, ...]


def operators() -> list[str]:
    """The operators that ONNX Runtime quantises."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QDQRegistry, *QLinearOpsRegistry})


def layers_of(graph: onnx.ModelProto) -> tuple[Layer, ...]:
    """The layers of a graph, in order: each node that can be quantised belongs to one.

    A convolution or product begins a layer. Any other node belongs to the last of the layers whose
    results it takes; one that takes none begins a layer too.

    Args:
        graph: sorted, each node with a name of its own.
    """
    known = frozenset(operators())
    layer_of: dict[str, int] = {}
    heads: list[onnx.NodeProto] = []
    nodes: list[list[str]] = []
    for node in graph.graph.node:
        before = [layer_of[name] for name in node.input if name in layer_of]
        if node.op_type in known and (node.op_type in _HEADS or not before):
            heads.append(node)
            nodes.append([])
            before = [len(heads) - 1]
        if before:
            layer_of |= dict.fromkeys(node.output, max(before))
            if node.op_type in known:
                nodes[max(before)].append(node.name)
    return tuple(
        Layer(head.name, head.op_type, tuple(names))
        for head, names in zip(heads, nodes, strict=True)
    )
