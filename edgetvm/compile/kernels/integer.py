"""Convolutions and products of 8-bit integers by dot-product instructions.

The data are staged as rows of bytes (or of 16-bit words): taps along a row and their channels lie
behind one another there, so that a dot product runs over several taps where channels are few, and
one that reaches past the last of them meets weights of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.kernels.contraction import PACKED, Window, pack
from edgetvm.compile.kernels.dots import Dot

# The annotation of a block that sums by a dot product: the name of its instruction.
DOT = "edgetvm.dot"
# And of one that takes the data of several steps by one load: how many.
TOGETHER = "edgetvm.together"
# How many elements the data of neighbouring points are apart.
BETWEEN = "edgetvm.between"
# How a matrix product walks over a row of its data.
ONE_ELEMENT = Window((1,), (1,), (1,), (0,), (0,))


@dataclass(frozen=True)
class Run:
    """The elements of one row that a sum takes.

    Attributes:
        apart: stretches of them, one for each dilated tap.
        length: neighbours in each.
        depth: of the instruction's steps.
        overlaps: whether a last step that is not full begins where it ends with the stretch; the
            weights of what it takes again are zero. Else it reaches behind the end.
    """

    apart: int
    length: int
    depth: int
    overlaps: bool

    @property
    def steps(self) -> int:
        """For each stretch."""
        return math.ceil(self.length / self.depth)

    @property
    def rest(self) -> int:
        """Elements that the last step takes for nothing."""
        return self.steps * self.depth - self.length

    @property
    def slack(self) -> int:
        """Elements behind the end that are read."""
        return 0 if self.overlaps else self.rest

    def together(self, dot: Dot) -> int:
        """Steps whose data come by one load."""
        return dot.together if self.length % (self.depth * dot.together) == 0 else 1

    def start(self, step: Any) -> Any:
        """Where in a stretch a step begins."""
        from tvm import tirx

        start = step * self.depth
        return tirx.Min(start, self.length - self.depth) if self.overlaps else start

    def filled(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Weights [..., length, features] as [..., steps x depth, features]."""
        zeros = np.zeros((*weights.shape[:-2], self.rest, weights.shape[-1]), weights.dtype)
        full = self.length // self.depth * self.depth if self.overlaps else self.length
        return np.concatenate([weights[..., :full, :], zeros, weights[..., full:, :]], axis=-2)


def run_of(window: Window, channels: int, dot: Dot, is_staged: bool) -> Run:
    """How a window's rows are summed.

    Args:
        window: of the convolution.
        channels: of the data.
        dot: the instruction.
        is_staged: whether what is behind the end of a row can be read.
    """
    apart, length = run_length(window, channels)
    overlaps = not is_staged and length > dot.depth and length % dot.depth > 0
    return Run(apart, length, dot.depth, overlaps)


def run_length(window: Window, channels: int) -> tuple[int, int]:
    """Taps along a row that are summed one by one, and elements of each that are neighbours."""
    across = window.taps[-1]
    if window.dilations[-1] == 1 or across == 1:
        return 1, across * channels
    return across, channels


def pack_dots(weights: NDArray[Any], run: Run, dot: Dot, width: int) -> NDArray[Any]:
    """Weights [...taps..., channels, features] as [blocks, ...taps..., steps, width, depth]."""
    *taps, _, features = weights.shape
    runs = weights.reshape(*taps[:-1], run.apart, run.length, features).astype(dot.weights)
    blocks = pack(run.filled(runs), width)
    split = blocks.reshape(*blocks.shape[:-2], run.steps, dot.depth, width)
    return np.ascontiguousarray(np.swapaxes(split, -1, -2))


def staged(
    data: Any,
    channels: int,
    before: Sequence[int],
    after: Sequence[int],
    value: int,
    shift: int,
    dot: Dot,
    slack: int,
) -> Any:
    """The data with its border, shifted to the type of the instruction, one row after another.

    Args:
        data: [batch, ...spatial but the last..., width x channels], of 8 bits.
        channels: of the data.
        before, after: border round each spatial axis.
        value: of the border.
        shift: what is added to data and border.
        dot: the instruction.
        slack: elements behind the last of a row that may be read.

    Returns:
        [batch, ...spatial but the last..., width x channels + slack].
    """
    from tvm import te, tirx

    *outer, width = (int(size) for size in data.shape[1:])
    sizes = [n + b + a for n, b, a in zip(outer, before[:-1], after[:-1], strict=True)]
    start, end = before[-1] * channels, before[-1] * channels + width
    row = end + after[-1] * channels

    def element(*index: Any) -> Any:
        places, tests = [], []
        for at, size, first, last in zip(index[1:-1], outer, before[:-1], after[:-1], strict=True):
            places.append(at - first)
            tests += [at >= first] if first else []
            tests += [at < size + first] if last else []
        at = index[-1]
        tests += [at >= start] if start else []
        tests += [at < end] if end < row + slack else []
        shifted = data[(index[0], *places, at - start)].astype("int32") + shift
        if not tests:
            return shifted.astype(dot.data)
        border = tirx.const(value + shift, dot.data)
        return tirx.if_then_else(tirx.all(*tests), shifted.astype(dot.data), border)

    return te.compute((data.shape[0], *sizes, row + slack), element, name="staged")


def convolution(
    rows: Any,
    packed: Any,
    window: Window,
    run: Run,
    size: Sequence[int],
    channels: int,
    features: int,
    dot: Dot,
) -> Any:
    """The sums of a convolution over staged rows.

    Args:
        rows: of `staged`.
        packed: of `pack_dots`.
        window: of the convolution; its border is in the rows already.
        run: how it takes a row.
        size: spatial extents of the output.
        channels, features: of data and output.
        dot: the instruction.
    """
    from tvm import te

    width = int(packed.shape[-2])
    above = [te.reduce_axis((0, taps), f"tap{axis}") for axis, taps in enumerate(window.taps[:-1])]
    tap = te.reduce_axis((0, run.apart), "tap")
    step = te.reduce_axis((0, run.steps), "step")
    parts, part = within_step(dot)

    def element(*index: Any) -> Any:
        places = [
            at * stride + one * dilation
            for at, stride, one, dilation in zip(
                index[1:-2], window.strides[:-1], above, window.dilations[:-1], strict=True
            )
        ]
        column = index[-2] * window.strides[-1] + tap * window.dilations[-1]
        value = rows[(index[0], *places, column * channels + run.start(step) + part)]
        weight = packed_dot(packed, (*above, tap, step), index[-1], part, features)
        return te.sum(
            value.astype("int32") * weight.astype("int32"), axis=[*above, tap, step, *parts]
        )

    return te.compute(
        (rows.shape[0], *size, features),
        element,
        name="contraction",
        attrs={
            PACKED: [features, width],
            DOT: dot.name,
            TOGETHER: run.together(dot),
            BETWEEN: window.strides[-1] * channels,
        },
    )


def product(rows: Any, packed: Any, run: Run, count: int, features: int, dot: Dot) -> Any:
    """The sums of a matrix product.

    Args:
        rows: [1, ..., count x channels + slack], one row behind the other.
        packed: of `pack_dots`.
        run: how it takes a row.
        count: of the rows.
        features: of the result, [..., count, features].
        dot: the instruction.
    """
    from tvm import te

    width = int(packed.shape[-2])
    step = te.reduce_axis((0, run.steps), "step")
    parts, part = within_step(dot)

    def element(*index: Any) -> Any:
        value = rows[(0, *index[:-2], index[-2] * run.length + run.start(step) + part)]
        weight = packed_dot(packed, (step,), index[-1], part, features)
        return te.sum(value.astype("int32") * weight.astype("int32"), axis=[step, *parts])

    return te.compute(
        (*rows.shape[1:-1], count, features),
        element,
        name="contraction",
        attrs={
            PACKED: [features, width],
            DOT: dot.name,
            TOGETHER: run.together(dot),
            BETWEEN: run.length,
        },
    )


def within_step(dot: Dot) -> tuple[list[Any], Any]:
    """The axes of one step's products, and which of its elements they name."""
    from tvm import te

    axes = [te.reduce_axis((0, extent), "part") for extent in dot.within]
    if len(axes) == 1:
        return axes, axes[0]
    part, *groups, side = axes
    first = groups[0] * (2 * dot.parts) if groups else 0
    return axes, first + part * 2 + side


def packed_dot(packed: Any, between: Sequence[Any], feature: Any, part: Any, features: int) -> Any:
    """One weight of `pack_dots`."""
    from tvm import tirx

    width = int(packed.shape[-2])
    block: Any = feature // width
    start: Any = block * width
    if features < width:
        block, start = 0, 0
    elif features % width:
        start = tirx.Min(start, features - width)
    return packed[(block, *between, feature - start, part)]
