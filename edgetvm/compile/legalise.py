"""From operators to loops: our own for convolutions and products, TVM's for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import (
    Window,
    convolution,
    depthwise,
    pack,
    product,
)
from edgetvm.compile.kernels.transposed import phase_weights, phase_window, transposed
from edgetvm.compile.kernels.winograd import TRANSFORMS, transformed, winograd
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.schedules.tile import choose_tile
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.ir import IRModule

Legaliser = Callable[[Any, Any], Any]
Extents = tuple[int, ...]


def legalise(
    profile: BoardProfile, options: CompileOptions = DEFAULTS
) -> Callable[[IRModule], IRModule]:
    """The pass that turns every operator into loops for a board."""

    def run(module: IRModule) -> IRModule:
        from tvm import relax

        ours = _own(profile, options) if options.level.rules == "all" else {}
        result: IRModule = relax.transform.LegalizeOps(ours)(module)
        return result

    return run


def _own(profile: BoardProfile, options: CompileOptions) -> dict[str, Legaliser]:
    """Our operators; each falls back on TVM's where a form is not ours."""
    import tvm

    def with_fallback(name: str, ours: Callable[[Any, Any, BoardProfile], Any]) -> Legaliser:
        stock = tvm.ir.Op.get(name).get_attr("FLegalize")

        def legaliser(builder: Any, call: Any) -> Any:
            made = ours(builder, call, profile)
            return stock(builder, call) if made is None else made

        return legaliser

    convolution_ = partial(_convolution, largest_edge=options.level.winograd)
    return {
        "relax.nn.conv1d": with_fallback("relax.nn.conv1d", convolution_),
        "relax.nn.conv2d": with_fallback("relax.nn.conv2d", convolution_),
        "relax.nn.conv3d": with_fallback("relax.nn.conv3d", convolution_),
        "relax.nn.conv1d_transpose": with_fallback("relax.nn.conv1d_transpose", _transposed),
        "relax.nn.conv2d_transpose": with_fallback("relax.nn.conv2d_transpose", _transposed),
        "relax.matmul": with_fallback("relax.matmul", _matmul),
    }


def _convolution(builder: Any, call: Any, profile: BoardProfile, largest_edge: int) -> Any:
    attrs = call.attrs
    data, weights = call.args
    layout = str(attrs.data_layout)
    shape, out_shape = shape_of(data), shape_of(call)
    spatial = layout[1:-1]
    if (
        shape is None
        or out_shape is None
        or not is_constant(weights)
        or layout != f"N{spatial}C"
        or str(attrs.kernel_layout) != f"{spatial}IO"
        or str(attrs.out_layout) not in ("", layout)
    ):
        return None
    array = weights.value.numpy()
    groups, features, rank = int(attrs.groups), array.shape[-1], len(spatial)
    padding = [int(one) for one in attrs.padding]
    window = Window(
        taps=array.shape[:-2],
        strides=tuple(int(one) for one in attrs.strides),
        dilations=tuple(int(one) for one in attrs.dilation),
        before=tuple(padding[:rank]),
        after=tuple(padding[rank:]),
    )
    out_dtype = str(call.ty.dtype)
    if groups == shape[-1] == features and groups > 1:
        flat = constant(array.reshape(*array.shape[:-2], features))
        return builder.call_te(
            lambda data, weights: depthwise(data, weights, window, out_dtype),
            data,
            flat,
            primfunc_name_hint="depthwise_conv",
        )
    edge = winograd_edge(window, shape, out_shape, groups, out_dtype, largest_edge)
    if edge:
        return _winograd(builder, data, array, window, out_shape, edge, profile)
    work = math.prod(out_shape) * math.prod(array.shape[:-1])
    tile = choose_tile(
        features // groups,
        *_last_two(out_shape[1:-1]),
        math.prod(out_shape[:1]) * math.prod(out_shape[1:-3]) * groups,
        profile,
        shared_by(work, profile),
    )
    kept = [size for size in window.taps if size > 1]
    each = np.split(array.reshape(*kept, *array.shape[-2:]), groups, axis=-1)
    packed = constant(np.concatenate([pack(one, tile.width) for one in each]))
    return builder.call_te(
        lambda data, packed: convolution(data, packed, window, features, groups, out_dtype),
        data,
        packed,
        primfunc_name_hint="conv",
    )


def winograd_edge(
    window: Window, shape: Extents, out_shape: Extents, groups: int, dtype: str, largest: int = 4
) -> int:
    """The edge of output tiles with which Winograd's form costs least; 0 where the direct one does.

    Costs are in multiply-adds of a tile's elements: additions of the transforms, and what their
    tensors cost on the way through the caches.
    """
    three = window.taps == (3, 3) and window.strides == (1, 1) and window.dilations == (1, 1)
    if not three or groups != 1 or dtype != "float32":
        return 0
    channels, features = shape[-1], out_shape[-1]
    if min(channels, features) < 16 or math.gcd(channels, 16) < 4:
        return 0
    costs = {0: 9.0 * channels * features * math.prod(out_shape[1:3])}
    for step, transform in TRANSFORMS.items():
        if step > largest or min(out_shape[1:3]) < step:
            continue
        tiles = math.prod(math.ceil(size / step) for size in out_shape[1:3])
        elements = transform.edge**2
        each = elements * (channels * features + 10 * (channels + features))
        costs[step] = float(tiles * each)
    return min(costs, key=lambda step: costs[step])


def _winograd(
    builder: Any,
    data: Any,
    array: Any,
    window: Window,
    out_shape: Extents,
    edge: int,
    profile: BoardProfile,
) -> Any:
    transform = TRANSFORMS[edge]
    features, size = out_shape[-1], out_shape[1:3]
    tiles = out_shape[0] * math.prod(math.ceil(extent / edge) for extent in size)
    work = tiles * transform.edge**2 * array.shape[-2] * features
    cores = shared_by(work, profile)
    tile = choose_tile(features, transform.edge, tiles, transform.edge, profile, cores)
    weights = constant(transformed(array, transform, tile.width))
    before = (window.before[0], window.before[1])
    call = builder.call_te(
        lambda data, weights: winograd(data, weights, features, transform, before, size),
        data,
        weights,
        primfunc_name_hint="conv_winograd",
    )
    return _fusible(builder, call)


def _fusible(builder: Any, call: Any) -> Any:
    """The call of a kernel that element-wise ones may follow, though TVM cannot see that."""
    variable = call.args[0]
    kernel = builder.get()[variable]
    builder.update_func(variable, kernel.with_attr("op_pattern", 4))
    return call


def _transposed(builder: Any, call: Any, profile: BoardProfile) -> Any:
    attrs = call.attrs
    data, weights = call.args
    layout = str(attrs.data_layout)
    shape, out_shape = shape_of(data), shape_of(call)
    spatial = layout[1:-1]
    if (
        shape is None
        or out_shape is None
        or not is_constant(weights)
        or layout != f"N{spatial}C"
        or str(attrs.kernel_layout) != f"IO{spatial}"
        or int(attrs.groups) != 1
    ):
        return None
    array = weights.value.numpy()
    strides = tuple(int(one) for one in attrs.strides)
    before = tuple(int(one) for one in attrs.padding)[: len(spatial)]
    window = phase_window(array.shape[2:], strides, before, shape[1:-1], out_shape[1:-1])
    features = array.shape[1]
    points = tuple(math.ceil(n / s) for n, s in zip(out_shape[1:-1], strides, strict=True))
    phases = math.prod(strides)
    work = (
        phases * shape[0] * math.prod(points) * math.prod(window.taps) * math.prod(array.shape[:2])
    )
    cores = shared_by(work, profile)
    tile = choose_tile(features, *_last_two(points), phases * shape[0], profile, cores)
    packed = constant(phase_weights(array, strides, before, tile.width))
    out_dtype = str(call.ty.dtype)
    size = out_shape[1:-1]
    return builder.call_te(
        lambda data, packed: transposed(
            data, packed, window, strides, before, size, features, out_dtype
        ),
        data,
        packed,
        primfunc_name_hint="conv_transpose",
    )


def _matmul(builder: Any, call: Any, profile: BoardProfile) -> Any:
    data, weights = call.args
    shape, out_shape = shape_of(data), shape_of(call)
    if shape is None or out_shape is None or not is_constant(weights) or len(shape) < 2:
        return None
    array = weights.value.numpy()
    if array.ndim > 2 and math.prod(array.shape[:-2]) == 1 and array.ndim <= len(shape):
        array = array.reshape(array.shape[-2:])
    if array.ndim != 2:
        return None
    features = array.shape[-1]
    work = math.prod(out_shape) * array.shape[0]
    rows = (1, *out_shape[:-1])
    tile = choose_tile(
        features,
        *_last_two(rows),
        math.prod(rows[:-2]),
        profile,
        shared_by(work, profile),
    )
    packed = constant(pack(array, tile.width))
    out_dtype = str(call.ty.dtype)
    return builder.call_te(
        lambda data, packed: product(data, packed, features, out_dtype),
        data,
        packed,
        primfunc_name_hint="matmul",
    )


def _last_two(extents: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tile's points."""
    whole = (1, 1, *extents)
    return whole[-2], whole[-1]
