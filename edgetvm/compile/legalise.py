"""From operators to loops: our own for convolutions and products, TVM's for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from edgetvm.compile.kernels.dots import Dot, dot_for
from edgetvm.compile.kernels.integer import (
    ONE_ELEMENT,
    integer_convolution,
    integer_product,
    pack_dots,
    run_length,
    staged,
)
from edgetvm.compile.kernels.transposed import phase_weights, phase_window, transposed
from edgetvm.compile.kernels.winograd import TRANSFORMS, transformed, winograd
from edgetvm.compile.layout.stored import constant, is_constant, shape_of
from edgetvm.compile.schedules.tile import choose_tile
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.ir import IRModule

Legaliser = Callable[[Any, Any, BoardProfile], Any]
Extents = tuple[int, ...]


def lower_contractions(profile: BoardProfile) -> Callable[[IRModule], IRModule]:
    """The pass that turns convolutions and products into loops over weights packed for a board.

    What has a form that is not ours is left to TVM.
    """

    def run(module: IRModule) -> IRModule:
        from tvm import relax
        from tvm.relax.expr_functor import PyExprMutator, mutator

        @mutator
        class Lowering(PyExprMutator):  # type: ignore[misc]
            def visit_call_(self, call: Any) -> Any:
                call = super().visit_call_(call)
                ours = _OURS.get(getattr(call.op, "name", ""))
                if ours is None:
                    return call
                made = ours(self.builder_, self.builder_.normalize(call), profile)
                return call if made is None else made

        lowering = Lowering(module)
        for variable, function in module.functions_items():
            if isinstance(function, relax.Function):
                lowering.builder_.update_func(variable, lowering.visit_expr(function))
        result: IRModule = lowering.builder_.get()
        return result

    return run


def _convolution(builder: Any, call: Any, profile: BoardProfile) -> Any:
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
    dot = _dot(data, array, profile) if groups == 1 else None
    if dot is not None:
        return _integer(builder, data, array, window, out_shape, dot, profile)
    edge = winograd_edge(window, shape, out_shape, groups, out_dtype)
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


def _dot(data: Any, array: Any, profile: BoardProfile) -> Dot | None:
    """The instruction for 8-bit data and weights that fit in 8 bits once they are centred."""
    if str(data.ty.dtype) not in ("int8", "uint8") or array.dtype.kind not in "iu":
        return None
    return dot_for(profile) if int(array.max()) - int(array.min()) <= 255 else None


def _integer(
    builder: Any,
    data: Any,
    array: Any,
    window: Window,
    out_shape: Extents,
    dot: Dot,
    profile: BoardProfile,
) -> Any:
    """Staged rows, then dot products; a border that a pad before it made is staged with them."""
    from tvm import relax

    given = data
    array, offset = _centred(array)
    data, border, before, after = _with_border(builder, data, window)
    channels, features = array.shape[-2], out_shape[-1]
    size = out_shape[1:-1]
    work = math.prod(out_shape) * math.prod(array.shape[:-1])
    # One instruction does the work of several multiply-adds.
    cores = shared_by(work // dot.depth, profile)
    tile = choose_tile(features, *_last_two(size), out_shape[0], profile, cores, lanes=dot.lanes)
    packed = pack_dots(array, window, dot, tile.width)
    apart, length = run_length(window, channels)
    slack = packed.shape[-3] * dot.depth - length
    shape = shape_of(data) or ()
    shift = dot.shift(str(data.ty.dtype))
    flat = builder.emit(relax.op.reshape(data, [*shape[:-2], shape[-2] * shape[-1]]))
    rows = builder.emit(
        builder.call_te(
            lambda data: staged(data, channels, before, after, border, shift, dot, slack),
            flat,
            primfunc_name_hint="stage",
        )
    )
    sums = builder.call_te(
        lambda rows, packed: integer_convolution(
            rows, packed, window, size, channels, features, dot
        ),
        rows,
        constant(packed),
        primfunc_name_hint="conv_int8",
    )
    sums = _unshifted(builder, sums, array, shift)
    if not offset:
        return sums
    ones = np.ones((*array.shape[:-1], 1), np.int8)
    one_shape = (*out_shape[:-1], 1)
    total = _integer(builder, given, ones, window, one_shape, dot, profile)
    return _with_offset(builder, sums, total, offset)


def _centred(array: Any) -> tuple[Any, int]:
    """Weights as int8, and what was taken from each of them."""
    low, high = int(array.min()), int(array.max())
    offset = 0 if low >= -128 and high <= 127 else low + 128
    return (array.astype(np.int32) - offset).astype(np.int8), offset


def _with_offset(builder: Any, sums: Any, total: Any, offset: int) -> Any:
    """The sums of weights from which `offset` was taken, and of the data alone."""
    from tvm import relax

    scaled = relax.op.multiply(builder.emit(total), relax.const(offset, "int32"))
    return relax.op.add(builder.emit(sums), builder.emit(scaled))


def _integer_product(
    builder: Any, data: Any, array: Any, shape: Extents, dot: Dot, profile: BoardProfile
) -> Any:
    array, offset = _centred(array)
    shift = dot.shift(str(data.ty.dtype))
    features = array.shape[-1]
    work = math.prod(shape) * features
    rows = (1, *shape[:-1])
    tile = choose_tile(
        features,
        *_last_two(rows),
        math.prod(rows[:-2]),
        profile,
        shared_by(work // dot.depth, profile),
        lanes=dot.lanes,
    )
    packed = pack_dots(array[None], ONE_ELEMENT, dot, tile.width)[:, 0]
    slack = -shape[-1] % dot.depth
    none = (0,) * (len(shape) - 1)
    staged_rows = builder.emit(
        builder.call_te(
            lambda data: staged(data, 1, none, none, 0, shift, dot, slack),
            data,
            primfunc_name_hint="stage",
        )
    )
    sums = builder.call_te(
        lambda rows, packed: integer_product(rows, packed, features, dot),
        staged_rows,
        constant(packed),
        primfunc_name_hint="matmul_int8",
    )
    sums = _unshifted(builder, sums, array, shift)
    if not offset:
        return sums
    ones = np.ones((array.shape[0], 1), np.int8)
    total = _integer_product(builder, data, ones, shape, dot, profile)
    return _with_offset(builder, sums, total, offset)


def _unshifted(builder: Any, sums: Any, array: Any, shift: int) -> Any:
    """The sums without what the shift of the data has added to them."""
    from tvm import relax

    if not shift:
        return sums
    per_feature = array.astype(np.int64).sum(axis=tuple(range(array.ndim - 1)))
    shifted = (-shift * per_feature).astype(np.int32)
    return relax.op.add(builder.emit(sums), constant(shifted))


def _with_border(builder: Any, data: Any, window: Window) -> tuple[Any, int, Extents, Extents]:
    """The data without the constant border that a pad operator put round it, and that border."""
    import tvm
    from tvm import relax

    plain = (data, 0, window.before, window.after)
    made = builder.lookup_binding(data) if isinstance(data, relax.Var) else None
    if not isinstance(made, relax.Call) or made.op != tvm.ir.Op.get("relax.nn.pad"):
        return plain
    widths = [int(width) for width in made.attrs.pad_width]
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    own = any(window.before) or any(window.after)
    if own or str(made.attrs.pad_mode) != "constant" or any(pairs[0] + pairs[-1]):
        return plain
    if min(widths) < 0:
        return plain
    before, after = zip(*pairs[1:-1], strict=True)
    return made.args[0], int(float(made.attrs.pad_value)), before, after


def winograd_edge(
    window: Window, shape: Extents, out_shape: Extents, groups: int, dtype: str
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
        if min(out_shape[1:3]) < step:
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
    dot = _dot(data, array, profile)
    if dot is not None:
        return _integer_product(builder, data, array, shape, dot, profile)
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


_OURS: dict[str, Legaliser] = {
    "relax.nn.conv1d": _convolution,
    "relax.nn.conv2d": _convolution,
    "relax.nn.conv3d": _convolution,
    "relax.nn.conv1d_transpose": _transposed,
    "relax.nn.conv2d_transpose": _transposed,
    "relax.matmul": _matmul,
}
