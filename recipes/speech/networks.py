"""ONNX networks of transformers, written operator by operator around weights from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

Weights = Mapping[str, NDArray[Any]]

_FAR = -1e9


class Net:
    """An ONNX graph that grows. Tensors are known by their names."""

    def __init__(self, weights: Weights, width: int, heads: int, epsilon: float = 1e-5) -> None:
        """Begin one.

        Args:
            width: of what each place holds.
            heads: of its attention.
            epsilon: of its layer norms.
        """
        self._weights = weights
        self._width, self._heads = width, heads
        self._epsilon = epsilon
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, named: str = "", **attributes: Any) -> str:
        return self._several(kind, inputs, 1, named, attributes)[0]

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        from onnx import numpy_helper

        name = name or f"constant_{len(self._constants)}"
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(self._weights[name].astype(np.float32), name)

    def turned(self, name: str) -> str:
        return self.constant(np.ascontiguousarray(self._weights[name].T, np.float32), f"{name}.T")

    def conv(self, x: str, *inputs: str, **attributes: Any) -> str:
        return self.op("Conv", x, *inputs, **attributes)

    def linear(self, x: str, name: str) -> str:
        """Of weights `NAME/weight` and `NAME/bias`, with whatever stands for the slash."""
        found = self.op("MatMul", x, self.turned(f"{name}weight"))
        return self.op("Add", found, self.weight(f"{name}bias"))

    def norm(self, x: str, gamma: str, beta: str) -> str:
        scale, shift = self.weight(gamma), self.weight(beta)
        return self.op("LayerNormalization", x, scale, shift, epsilon=self._epsilon)

    def gelu(self, x: str) -> str:
        half, one, root = (
            self.constant(np.array(value, np.float32), name)
            for name, value in (("half", 0.5), ("one", 1.0), ("root_half", np.sqrt(0.5)))
        )
        share = self.op("Add", self.op("Erf", self.op("Mul", x, root)), one)
        return self.op("Mul", self.op("Mul", x, half), share)

    def split(self, x: str, parts: int) -> Sequence[str]:
        return self._several("Split", [x], parts, "", {"axis": -1, "num_outputs": parts})

    def reshaped(self, x: str, shape: list[int]) -> str:
        return self.op("Reshape", x, self.constant(np.array(shape, np.int64)))

    def heads(self, x: str) -> str:
        """`[1, places, width]` as `[1, heads, places, width / heads]`."""
        apart = self.reshaped(x, [1, -1, self._heads, self._width // self._heads])
        return self.op("Transpose", apart, perm=[0, 2, 1, 3])

    def merged(self, x: str) -> str:
        """The way back."""
        turned = self.op("Transpose", x, perm=[0, 2, 1, 3])
        return self.reshaped(turned, [1, -1, self._width])

    def taken(self, x: str, number: int) -> str:
        """One layer's share of a memory."""
        ends = [self.constant(np.array([value], np.int64)) for value in (number, number + 1, 0)]
        return self.op("Slice", x, *ends)

    def attended(self, q: str, k: str, v: str, hidden: str = "") -> str:
        return self.looked(q, self.op("Transpose", k, perm=[0, 1, 3, 2]), v, hidden)

    def looked(self, q: str, turned_keys: str, v: str, hidden: str = "") -> str:
        root = np.sqrt(self._heads / self._width)
        scale = self.constant(root.astype(np.float32), "scale")
        scores = self.op("MatMul", self.op("Mul", q, scale), turned_keys)
        if hidden:
            far = self.constant(np.array(_FAR, np.float32), "far")
            scores = self.op("Where", hidden, far, scores)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[str, list[int]]],
        outputs: Mapping[str, tuple[str, list[int]]],
    ) -> onnx.ModelProto:
        from onnx import helper

        given, made = (
            [
                helper.make_tensor_value_info(one, _element_type(kind), shape)
                for one, (kind, shape) in tensors.items()
            ]
            for tensors in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, name, given, made, list(self._constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def _several(
        self, kind: str, inputs: Sequence[str], count: int, named: str, attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        made = [named or f"{kind.lower()}_{len(self._nodes)}_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), made, **attributes))
        return made


def _element_type(name: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(name)))
