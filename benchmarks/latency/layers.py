"""Layers as exporters write them, with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.recipes.graphs import FLOAT, Graph

Array = NDArray[Any]


class Net(Graph):
    """A graph whose layers draw their weights, and which knows the shape of what it computed."""

    def __init__(self, **inputs: list[int]) -> None:
        super().__init__()
        self.inputs = inputs
        self.shapes = dict(inputs)
        self._generator = np.random.default_rng(0)

    def drawn(self, *shape: int, fan_in: int | None = None, gain: float = 2) -> Array:
        """Weights with which values neither grow nor fade."""
        scale = math.sqrt(gain / (fan_in or math.prod(shape[1:]) or 1))
        return (self._generator.standard_normal(shape) * scale).astype(np.float32)

    def near(self, value: float, *shape: int) -> Array:
        """Scales and offsets."""
        return self._generator.uniform(value - 0.1, value + 0.1, shape).astype(np.float32)

    def node(self, kind: str, *inputs: str | Array, outputs: int = 1, **attributes: Any) -> str:
        name = super().node(kind, *inputs, outputs=outputs, **attributes)
        first = inputs[0]
        if isinstance(first, str) and first in self.shapes:
            self.shapes[name] = self.shapes[first]
        return name

    def at(self, name: str, *shape: int) -> str:
        """Note the shape of what was computed."""
        self.shapes[name] = list(shape)
        return name

    def conv(
        self,
        x: str,
        features: int,
        taps: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        groups: int = 1,
        dilation: int = 1,
        act: str = "",
        pads: list[int] | None = None,
        gain: float = 2,
    ) -> str:
        """A convolution that keeps the map's size, or divides it by the stride."""
        batch, channels, *size = self.shapes[x]
        rank = len(size)
        taps = (taps,) * rank if isinstance(taps, int) else taps
        strides = (stride,) * rank if isinstance(stride, int) else stride
        half = [(one - 1) * dilation // 2 for one in taps]
        pads = pads if pads is not None else [*half, *half]
        made = self.node(
            "Conv",
            x,
            self.drawn(features, channels // groups, *taps, gain=gain),
            self.near(0, features),
            kernel_shape=list(taps),
            strides=list(strides),
            pads=pads,
            dilations=[dilation] * rank,
            group=groups,
        )
        out = [
            (extent + before + after - dilation * (tap - 1) - 1) // step + 1
            for extent, before, after, tap, step in zip(
                size, pads[:rank], pads[rank:], taps, strides, strict=True
            )
        ]
        return self.act(self.at(made, batch, features, *out), act)

    def up(self, x: str, features: int, taps: int = 2, stride: int = 2, act: str = "") -> str:
        """A transposed convolution."""
        batch, channels, *size = self.shapes[x]
        pad = (taps - stride) // 2
        made = self.node(
            "ConvTranspose",
            x,
            self.drawn(channels, features, *[taps] * len(size), fan_in=channels * taps // stride),
            self.near(0, features),
            kernel_shape=[taps] * len(size),
            strides=[stride] * len(size),
            pads=[pad] * (2 * len(size)),
        )
        out = [(extent - 1) * stride + taps - 2 * pad for extent in size]
        return self.act(self.at(made, batch, features, *out), act)

    def act(self, x: str, kind: str) -> str:
        """An activation, written as exporters do; none for an empty kind."""
        return _ACTIVATIONS[kind](self, x) if kind else x

    def pool(self, kind: str, x: str, taps: int, stride: int, pad: int = 0) -> str:
        """MaxPool or AveragePool."""
        batch, channels, *size = self.shapes[x]
        made = self.node(kind, x, kernel_shape=[taps] * 2, strides=[stride] * 2, pads=[pad] * 4)
        out = [(extent + 2 * pad - taps) // stride + 1 for extent in size]
        return self.at(made, batch, channels, *out)

    def mean(self, x: str) -> str:
        """Over the map; the axes stay."""
        batch, channels, *size = self.shapes[x]
        return self.at(self.node("GlobalAveragePool", x), batch, channels, *[1] * len(size))

    def excited(self, x: str, narrow: int, inner: str, gate: str) -> str:
        """Squeeze and excite."""
        scale = self.conv(self.mean(x), narrow, 1, act=inner)
        scale = self.conv(scale, self.shapes[x][1], 1, gain=1)
        scale = (
            self.node("HardSigmoid", scale, alpha=1 / 6, beta=0.5)
            if gate == "hard"
            else (self.act(scale, gate))
        )
        return self.node("Mul", x, scale)

    def add(self, x: str, y: str | Array) -> str:
        """A sum of two."""
        return self.node("Add", x, y)

    def concat(self, *parts: str, axis: int = 1) -> str:
        """Joined along an axis."""
        shape = list(self.shapes[parts[0]])
        shape[axis] = sum(self.shapes[one][axis] for one in parts)
        return self.at(self.node("Concat", *parts, axis=axis), *shape)

    def halves(self, x: str) -> tuple[str, str]:
        """The channels in two parts."""
        batch, channels, *size = self.shapes[x]
        half = channels // 2
        first = self.node("Split", x, np.array([half, channels - half]), outputs=2, axis=1)
        second = f"{first}_1"
        self.at(first, batch, half, *size)
        return first, self.at(second, batch, channels - half, *size)

    def resize(self, x: str, factor: int = 2, mode: str = "nearest") -> str:
        """A map enlarged: by its nearest elements, or linearly."""
        batch, channels, *size = self.shapes[x]
        scales = np.array([1, 1, *[factor] * len(size)], np.float32)
        how: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel"}
        if mode == "nearest":
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        made = self.node("Resize", x, "", scales, mode=mode, **how)
        return self.at(made, batch, channels, *[factor * one for one in size])

    def dense(self, x: str, features: int, act: str = "") -> str:
        """MatMul and Add, on the last axis."""
        *rest, channels = self.shapes[x]
        weights = self.drawn(channels, features, fan_in=channels, gain=1)
        made = self.node("MatMul", x, weights)
        made = self.node("Add", self.at(made, *rest, features), self.near(0, features))
        return self.act(made, act)

    def head(self, x: str, classes: int) -> str:
        """Mean, flattened, to classes."""
        batch, channels = self.shapes[x][:2]
        flat = self.at(self.node("Flatten", self.mean(x)), batch, channels)
        made = self.node(
            "Gemm", flat, self.drawn(classes, channels, gain=1), self.near(0, classes), transB=1
        )
        return self.at(made, batch, classes)

    def norm(self, x: str) -> str:
        """Over the last axis."""
        width = self.shapes[x][-1]
        scale, bias = self.near(1, width), self.near(0, width)
        return self.node("LayerNormalization", x, scale, bias, axis=-1)

    def transpose(self, x: str, *order: int) -> str:
        """With its axes in another order."""
        shape = [self.shapes[x][axis] for axis in order]
        return self.at(self.node("Transpose", x, perm=list(order)), *shape)

    def reshape(self, x: str, *shape: int) -> str:
        """With other extents."""
        return self.at(self.node("Reshape", x, np.array(shape)), *shape)

    def attention(self, x: str, heads: int) -> str:
        """Self-attention over [1, tokens, width]."""
        _, tokens, width = self.shapes[x]
        each = width // heads

        def part(order: tuple[int, ...]) -> str:
            return self.transpose(
                self.reshape(self.dense(x, width), 1, tokens, heads, each), *order
            )

        query, key, value = part((0, 2, 1, 3)), part((0, 2, 3, 1)), part((0, 2, 1, 3))
        scores = self.at(self.node("MatMul", query, key), 1, heads, tokens, tokens)
        scores = self.node("Mul", scores, np.array(each**-0.5, np.float32))
        scores = self.node("Softmax", scores, axis=-1)
        mixed = self.at(self.node("MatMul", scores, value), 1, heads, tokens, each)
        mixed = self.reshape(self.transpose(mixed, 0, 2, 1, 3), 1, tokens, width)
        return self.dense(mixed, width)

    def encoder(self, x: str, heads: int, wide: int, act: str = "gelu") -> str:
        """A pre-norm transformer layer."""
        x = self.add(x, self.attention(self.norm(x), heads))
        return self.add(x, self.dense(self.dense(self.norm(x), wide, act), self.shapes[x][-1]))

    def done(self, *outputs: str, dtype: int = FLOAT) -> Any:
        """The checked model."""
        inputs = [(name, dtype, shape) for name, shape in self.inputs.items()]
        return self.model(inputs, {f"output{i}": name for i, name in enumerate(outputs)})


def _prelu(net: Net, x: str) -> str:
    channels, *rest = net.shapes[x][1:]
    return net.node("PRelu", x, net.near(0.2, channels, *[1] * len(rest)))


def _gelu(net: Net, x: str) -> str:
    error = net.node("Erf", net.node("Div", x, np.array(math.sqrt(2), np.float32)))
    error = net.node("Add", error, np.array(1, np.float32))
    return net.node("Mul", net.node("Mul", x, error), np.array(0.5, np.float32))


_ACTIVATIONS: dict[str, Callable[[Net, str], str]] = {
    "relu": lambda net, x: net.node("Relu", x),
    "relu6": lambda net, x: net.node("Clip", x, np.array(0, np.float32), np.array(6, np.float32)),
    "swish": lambda net, x: net.node("Mul", x, net.node("Sigmoid", x)),
    "hardswish": lambda net, x: net.node("HardSwish", x),
    "leaky": lambda net, x: net.node("LeakyRelu", x, alpha=0.1),
    "prelu": _prelu,
    "sigmoid": lambda net, x: net.node("Sigmoid", x),
    "tanh": lambda net, x: net.node("Tanh", x),
    "gelu": _gelu,
}
