"""ResNet-50 v2 as MXNet's model zoo and tvmc's tutorial have it, with weights from a seed.

The architecture is exact, layer by layer; the weights are random, so that its latency means
something and its answers do not.

Source: He et al., Identity Mappings in Deep Residual Networks, https://arxiv.org/abs/1603.05027;
resnet50-v2-7.onnx of ONNX's model zoo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.recipes import MODELS

# Blocks and channels of the four stages.
_STAGES = ((3, 256), (4, 512), (6, 1024), (3, 2048))
_CLASSES = 1000


class _Network:
    """Nodes in order; each method gives the name of what it computes."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(50)
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[np.float32]] = {}
        self._channels = {"data": 3}

    def node(self, kind: str, *inputs: str, channels: int, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        self._channels[name] = channels
        return name

    def convolved(self, x: str, channels: int, kernel: int, stride: int = 1) -> str:
        """Without a bias: a batch norm follows."""
        before, padding = self._channels[x], kernel // 2
        shape = (channels, before, kernel, kernel)
        spread = np.sqrt(2 / (before * kernel * kernel))
        weight = self._constant(self._random.normal(0, spread, shape))
        return self.node(
            "Conv", x, weight, channels=channels, kernel_shape=[kernel, kernel],
            strides=[stride, stride], pads=[padding] * 4,
        )  # fmt: skip

    def normed(self, x: str, *, active: bool = True) -> str:
        count = self._channels[x]
        parts = [
            self._constant(self._random.uniform(low, high, count))
            for low, high in ((0.8, 1.2), (-0.1, 0.1), (-0.1, 0.1), (0.5, 1.5))
        ]
        x = self.node("BatchNormalization", x, *parts, channels=count, epsilon=1e-5)
        return self.node("Relu", x, channels=count) if active else x

    def block(self, x: str, channels: int, stride: int, widens: bool) -> str:
        """Normed, narrowed, convolved, widened; what came in is added."""
        inner = self.normed(x)
        beside = self.convolved(inner, channels, 1, stride) if widens else x
        inner = self.normed(self.convolved(inner, channels // 4, 1))
        inner = self.normed(self.convolved(inner, channels // 4, 3, stride))
        inner = self.convolved(inner, channels, 1)
        return self.node("Add", inner, beside, channels=channels)

    def classified(self, x: str) -> str:
        count = self._channels[x]
        x = self.node("GlobalAveragePool", self.normed(x), channels=count)
        x = self.node("Flatten", x, channels=count)
        weight = self._constant(self._random.normal(0, count**-0.5, (_CLASSES, count)))
        bias = self._constant(np.zeros(_CLASSES))
        return self.node("Gemm", x, weight, bias, channels=_CLASSES, transB=1)

    def _constant(self, array: NDArray[np.float64]) -> str:
        name = f"weight{len(self.constants)}"
        self.constants[name] = array.astype(np.float32)
        return name


def resnet50_v2() -> Any:
    """The checked ONNX model: `data` [1, 3, 224, 224] to `scores` [1, 1000]."""
    from onnx import TensorProto, checker, helper, numpy_helper

    network = _Network()
    x = network.convolved(network.normed("data", active=False), 64, 7, 2)
    x = network.normed(x)
    x = network.node(
        "MaxPool", x, channels=64, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )
    for stage, (blocks, channels) in enumerate(_STAGES):
        for index in range(blocks):
            stride = 2 if stage and not index else 1
            x = network.block(x, channels, stride, widens=not index)
    network.nodes.append(helper.make_node("Identity", [network.classified(x)], ["scores"]))
    shapes = (("data", [1, 3, 224, 224]), ("scores", [1, _CLASSES]))
    data, scores = (helper.make_tensor_value_info(one, TensorProto.FLOAT, n) for one, n in shapes)
    weights = [numpy_helper.from_array(array, name) for name, array in network.constants.items()]
    graph = helper.make_graph(network.nodes, "resnet50_v2", [data], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model


@MODELS.register("resnet50-v2.onnx")
def write_resnet50_v2(target: Path) -> None:
    """The file."""
    target.write_bytes(resnet50_v2().SerializeToString())
