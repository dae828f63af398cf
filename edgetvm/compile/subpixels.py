"""Transposed convolutions of few features as plain ones whose pixels are spread over the output.

The phases of the strides become features: a vector that three features would leave empty is filled
by those of four phases (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional
layer?").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.integers.matching import Matcher
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.simplify import on_functions

if TYPE_CHECKING:
    from tvm.ir import IRModule

# By how much fewer vectors must be multiplied: the pixels are moved once more.
_WORTH = 1.5


@dataclass(frozen=True)
class _Axis:
    """One spatial axis of a transposed convolution: output `y` gets `x[i] w[r]` for all
    `y + before = i * stride + r`.
    """

    taps: int
    stride: int
    before: int
    size: int
    out_size: int

    @property
    def farthest(self) -> int:
        """How far behind its own place the last phase reads."""
        return (self.stride - 1 + self.before) // self.stride

    @property
    def first(self) -> int:
        """The same for the first element that any phase reads; not above 0."""
        return self.before // self.stride - math.ceil(self.taps / self.stride) + 1

    @property
    def window(self) -> int:
        """Elements from the first to the last that any phase reads."""
        return self.farthest - self.first + 1

    @property
    def points(self) -> int:
        """Outputs of each phase."""
        return math.ceil(self.out_size / self.stride)

    @property
    def after(self) -> int:
        """Padding that the last output's window needs."""
        return max(0, self.points + self.farthest - self.size)

    def tap(self, phase: int, place: int) -> int | None:
        """Which tap multiplies the window's element at a place, for a phase."""
        ahead, rest = divmod(phase + self.before, self.stride)
        tap = rest + self.stride * (ahead - self.first - place)
        return tap if 0 <= tap < self.taps else None


def phases_as_features(profile: BoardProfile) -> Callable[[IRModule], IRModule]:
    """The pass for a board: where the features of a transposed convolution leave vectors empty."""
    return partial(_changed, lanes=profile.vector_lanes)


def _changed(module: IRModule, lanes: int) -> IRModule:
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Changer(PyExprMutator):  # type: ignore[misc]
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name not in ("relax.nn.conv1d_transpose", "relax.nn.conv2d_transpose"):
                return call
            axes = _axes(call)
            quantised = Matcher(self.lookup_binding).dequantised(call.args[0]) is not None
            if axes is None or quantised or not _worth(call, axes, lanes):
                return call
            emit: Callable[[Any], Any] = self.builder_.emit
            weights = _weights(call.args[1].value.numpy(), axes)
            return _spread(emit, _convolved(emit, call.args[0], weights, axes), axes)

    return on_functions(module, Changer(module))


def _axes(call: Any) -> list[_Axis] | None:
    """The spatial axes; None where the call has another form."""
    attrs, (data, weights) = call.attrs, call.args
    shape, out_shape = shape_of(data), shape_of(call)
    layout = str(attrs.data_layout)
    spatial = layout[2:]
    if (
        shape is None
        or out_shape is None
        or not is_constant(weights)
        or str(call.ty.dtype) != "float32"
        or layout != f"NC{spatial}"
        or str(attrs.kernel_layout) != f"IO{spatial}"
        or str(attrs.out_layout) not in ("", layout)
        or int(attrs.groups) != 1
        or any(int(one) != 1 for one in attrs.dilation)
    ):
        return None
    taps = shape_of(weights) or ()
    return [
        _Axis(taps[2 + at], int(attrs.strides[at]), int(attrs.padding[at]), shape[2 + at],
              out_shape[2 + at])
        for at in range(len(spatial))
    ]  # fmt: skip


def _worth(call: Any, axes: Sequence[_Axis], lanes: int) -> bool:
    features = (shape_of(call) or ())[1]
    if features >= lanes or all(axis.stride == 1 for axis in axes):
        return False
    more = math.prod(axis.window / math.ceil(axis.taps / axis.stride) for axis in axes)
    return lanes / features / more > _WORTH


def _weights(weights: NDArray[Any], axes: Sequence[_Axis]) -> NDArray[Any]:
    """From [channels, features, ...taps...] to [features x phases, channels, ...window...]."""
    channels, features, *_ = weights.shape
    strides, windows = [axis.stride for axis in axes], [axis.window for axis in axes]
    made = np.zeros((features, *strides, channels, *windows), weights.dtype)
    for phase in itertools.product(*map(range, strides)):
        for place in itertools.product(*map(range, windows)):
            taps = [a.tap(one, at) for a, one, at in zip(axes, phase, place, strict=True)]
            if None not in taps:
                there: tuple[Any, ...] = (slice(None), *phase, slice(None), *place)
                here: tuple[Any, ...] = (slice(None), slice(None), *taps)
                made[there] = weights[here].T
    return made.reshape(-1, channels, *windows)


def _convolved(
    emit: Callable[[Any], Any], data: Any, weights: NDArray[Any], axes: Sequence[_Axis]
) -> Any:
    from tvm import relax

    convolution = {1: relax.op.nn.conv1d, 2: relax.op.nn.conv2d}[len(axes)]
    padding = [-axis.first for axis in axes] + [axis.after for axis in axes]
    return emit(convolution(data, constant(weights), padding=padding))


def _spread(emit: Callable[[Any], Any], pixels: Any, axes: Sequence[_Axis]) -> Any:
    """The output, of whose elements each feature of `pixels` has one phase."""
    from tvm import relax

    batch, deep, *points = shape_of(pixels) or ()
    strides = [axis.stride for axis in axes]
    rank, features = len(axes), deep // math.prod(strides)
    apart = emit(relax.op.reshape(pixels, [batch, features, *strides, *points]))
    order = [0, 1, *(axis for at in range(rank) for axis in (2 + rank + at, 2 + at))]
    moved = emit(relax.op.permute_dims(apart, order))
    size = [stride * point for stride, point in zip(strides, points, strict=True)]
    whole = emit(relax.op.reshape(moved, [batch, features, *size]))
    wanted = [axis.out_size for axis in axes]
    if size == wanted:
        return whole
    spatial = list(range(2, 2 + rank))
    return relax.op.strided_slice(whole, spatial, [0] * rank, wanted)
