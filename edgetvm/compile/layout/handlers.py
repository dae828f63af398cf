"""Operators that can work on permuted tensors, and how.

A handler gets the rewriter and the call; it answers with the result as it is stored, or None where
the operator needs its operands in the model's own order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgetvm.compile.layout.choice import orders_of
from edgetvm.compile.layout.stored import (
    Order,
    Stored,
    identity,
    is_constant,
    nearest_order,
    reshaped,
    reshaped_order,
    shape_of,
)

if TYPE_CHECKING:
    from edgetvm.compile.layout.rewriter import Layouts

Handler = Callable[["Layouts", Any], "Stored | None"]

_ELEMENTWISE = frozenset(
    """
abs acos acosh add asin asinh astype atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor
ceil clip cos cosh divide equal erf exp ewise_fma floor floor_divide floor_mod greater greater_equal
isfinite isinf isnan left_shift less less_equal log log_add_exp logical_and logical_not logical_or
logical_xor maximum minimum mod multiply negative nn.gelu nn.gelu_tanh nn.leakyrelu nn.relu nn.selu
nn.silu nn.softplus not_equal power right_shift round rsqrt sigmoid sign sin sinh sqrt square
subtract tan tanh trunc where
""".split()
)
_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "std", "variance")


def elementwise(layouts: Layouts, call: Any) -> Stored | None:
    """Operands broadcast; the order of the largest permuted one is taken for all."""
    from tvm import relax

    rank = _rank(call)
    if rank is None:
        return None
    operands = [layouts.lying(argument) if _is_tensor(argument) else None for argument in call.args]
    like = _largest(operands, rank)
    if like is None:
        return None
    arguments = []
    for argument, operand in zip(call.args, operands, strict=True):
        arguments.append(argument if operand is None else _broadcast(layouts, operand, like))
    if any(argument is None for argument in arguments):
        return None
    return replace(like, expr=relax.Call(call.op, arguments, call.attrs, call.ty_args))


def _broadcast(layouts: Layouts, operand: Stored, like: Stored) -> Any:
    """An operand as another one lies, with axes of extent 1 in front where it has fewer."""
    if operand.rank == 0:
        return operand.expr
    if operand.rank < like.rank:
        plain = layouts.ordered(operand, identity(operand.rank))
        shape = shape_of(plain)
        if shape is None:
            return None
        whole = [*[1] * (like.rank - operand.rank), *shape]
        operand = Stored(reshaped(plain, whole, layouts.emit), identity(like.rank))
    return layouts.ordered(operand, like.order, like.block)


def _largest(operands: list[Stored | None], rank: int) -> Stored | None:
    """The operand with the most elements that is no constant, if it lies otherwise than told."""
    found = [
        operand
        for operand in operands
        if operand is not None and operand.rank == rank and not is_constant(operand.expr)
    ]
    best = max(
        found,
        key=lambda one: (math.prod(shape_of(one.expr) or (0,)), one.block, one.moved, one.order),
        default=None,
    )
    return best if best is not None and best.moved else None


def reduction(layouts: Layouts, call: Any) -> Stored | None:
    """Axes are found where they lie; what is left keeps its order."""
    from tvm import relax

    operand = layouts.lying(call.args[0])
    attrs = call.attrs
    axes = _axes(attrs.axis, operand.rank)
    if operand.block and not _leaves_channels(operand, axes):
        operand = layouts.stored(call.args[0])
    make = getattr(relax.op, call.op.name.removeprefix("relax."))
    made = make(operand.expr, sorted(operand.position(axis) for axis in axes), bool(attrs.keepdims))
    if operand.block:
        shape = shape_of(call) or ()
        return Stored(reshaped(made, shape, layouts.emit), identity(len(shape)))
    return Stored(made, operand.order if attrs.keepdims else _without(operand.order, axes))


def _leaves_channels(operand: Stored, axes: list[int]) -> bool:
    """Whether of a tensor in blocks nothing is left but channels of images, as they lie."""
    batch, channel, *spatial = operand.order
    return batch < channel and sorted(axes) == sorted(spatial)


def arg_reduction(layouts: Layouts, call: Any) -> Stored | None:
    """`argmax` and `argmin` along one axis; over all elements the order would count."""
    from tvm import relax

    if call.attrs.axis is None:
        return None
    operand = layouts.stored(call.args[0])
    axis = int(call.attrs.axis) % operand.rank
    make = getattr(relax.op, call.op.name.removeprefix("relax."))
    made = make(operand.expr, operand.position(axis), bool(call.attrs.keepdims))
    order = operand.order if call.attrs.keepdims else _without(operand.order, [axis])
    return Stored(made, order)


def _axes(given: Any, rank: int) -> list[int]:
    if given is None:
        return list(range(rank))
    return [int(axis) % rank for axis in given]


def _without(order: Order, axes: list[int]) -> Order:
    left = [axis for axis in order if axis not in axes]
    return tuple(sorted(left).index(axis) for axis in left)


def permutation(layouts: Layouts, call: Any) -> Stored | None:
    """Nothing is moved: the same elements, told in another order."""
    operand = layouts.lying(call.args[0])
    given = call.attrs.axes
    axes = [operand.rank - 1 - i for i in range(operand.rank)] if given is None else given
    axes = [int(axis) % operand.rank for axis in axes]
    return replace(operand, order=tuple(axes.index(axis) for axis in operand.order))


def reshape(layouts: Layouts, call: Any) -> Stored | None:
    """Also `squeeze`, `expand_dims` and `flatten`; splits and joins axes where they lie."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    shape, target = shape_of(call.args[0]), shape_of(call)
    if shape is None or target is None or operand.order == identity(operand.rank):
        return None
    made = reshaped_order(shape, operand.order, target)
    if made is None:
        nearest = nearest_order(shape, operand.order, target)
        made = None if nearest is None else reshaped_order(shape, nearest, target)
        if nearest is None or made is None:
            return None
        operand = Stored(layouts.ordered(operand, nearest), nearest)
    memory, order = made
    return Stored(relax.op.reshape(operand.expr, list(memory)), order)


def concatenation(layouts: Layouts, call: Any) -> Stored | None:
    """The order of the largest permuted part is taken for all."""
    from tvm import relax

    if not isinstance(call.args[0], relax.Tuple):
        return None
    rank = _rank(call)
    axis = call.attrs.axis
    if rank is None or axis is None:
        return None
    parts = [layouts.lying(part) for part in call.args[0].fields]
    like = _largest([*parts], rank)
    if like is not None and like.block and not _fill_blocks(call.args[0].fields, like):
        like = _largest([layouts.stored(part) for part in call.args[0].fields], rank)
    if like is None:
        return None
    ordered = [layouts.ordered(part, like.order, like.block) for part in parts]
    return replace(like, expr=relax.op.concat(ordered, like.position(int(axis))))


def _fill_blocks(parts: Sequence[Any], like: Stored) -> bool:
    shapes = [shape_of(part) for part in parts]
    return all(shape is not None and shape[like.order[1]] % like.block == 0 for shape in shapes)


def split(layouts: Layouts, call: Any) -> Stored | None:
    """All parts have the operand's order."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    sections = call.attrs.indices_or_sections
    parts = int(sections) if isinstance(sections, int) else [int(one) for one in sections]
    return Stored(
        relax.op.split(operand.expr, parts, operand.position(int(call.attrs.axis))), operand.order
    )


def softmax(layouts: Layouts, call: Any) -> Stored | None:
    """Along the axis where it lies, if that is the last in memory or nothing else is better."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    position = operand.position(int(call.attrs.axis))
    if position != operand.rank - 1 and int(call.attrs.axis) % operand.rank == operand.rank - 1:
        return None
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    return Stored(make(operand.expr, position), operand.order)


def pad(layouts: Layouts, call: Any) -> Stored | None:
    """Widths travel with their axes."""
    from tvm import relax

    operand = layouts.lying(call.args[0])
    widths = [int(width) for width in call.attrs.pad_width]
    if operand.block and any(widths[2 * operand.order[1] :][:2]):
        operand = layouts.stored(call.args[0])
    moved = [width for axis in operand.order for width in widths[2 * axis : 2 * axis + 2]]
    moved += [0, 0] if operand.block else []
    value, mode = call.attrs.pad_value, str(call.attrs.pad_mode)
    return replace(operand, expr=relax.op.nn.pad(operand.expr, moved, mode, value))


def strided_slice(layouts: Layouts, call: Any) -> Stored | None:
    """Bounds stay with their axes."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    axes = call.args[1]
    if not isinstance(axes, relax.Tuple):
        return None
    moved = [operand.position(int(_number(axis))) for axis in axes.fields]
    return Stored(
        relax.op.strided_slice(
            operand.expr, moved, *call.args[2:], assume_inbound=bool(call.attrs.assume_inbound)
        ),
        operand.order,
    )


def _number(value: Any) -> int:
    return int(getattr(value, "value", value))


def pool(layouts: Layouts, call: Any) -> Stored | None:
    """Pooling in two dimensions, channels where they lie if that is first, last or in blocks."""
    from tvm import relax

    operand = layouts.lying(call.args[0])
    layout = _lying(operand, str(call.attrs.layout))
    if layout is None:
        return None
    attrs = call.attrs
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    if "adaptive" in call.op.name:
        made = make(operand.expr, attrs.output_size, layout)
    else:
        made = make(
            operand.expr,
            *(attrs.pool_size, attrs.strides, attrs.padding, attrs.dilation),
            ceil_mode=bool(attrs.ceil_mode),
            count_include_pad=bool(attrs.count_include_pad),
            layout=layout,
        )
    return replace(operand, expr=made)


def resize(layouts: Layouts, call: Any) -> Stored | None:
    """Resizing in two dimensions, channels where they lie if that is first, last or in blocks."""
    from tvm import relax

    operand = layouts.lying(call.args[0])
    attrs = call.attrs
    plain = identity(operand.rank)
    if layouts.is_read_in(plain) and _elements(call.args[0]) < _elements(call):
        operand = Stored(layouts.ordered(operand, plain), plain)
    layout = _lying(operand, str(attrs.layout))
    if layout is None:
        return None
    made = relax.op.image.resize2d(
        operand.expr,
        call.args[1],
        [float(value) for value in attrs.roi],
        layout,
        str(attrs.method),
        str(attrs.coordinate_transformation_mode),
        str(attrs.rounding_method),
        float(attrs.cubic_alpha),
        int(attrs.cubic_exclude),
        float(attrs.extrapolation_value),
        attrs.out_dtype or None,
    )
    return replace(operand, expr=made)


def _elements(expr: Any) -> int:
    return math.prod(shape_of(expr) or (0,))


def _lying(operand: Stored, layout: str) -> str | None:
    """The layout's name in memory, where TVM's operator takes it."""
    if len(layout) != operand.rank:
        return None
    lying = "".join(layout[axis] for axis in operand.order)
    return lying + _inner(operand.block) if lying in ("NCHW", "NHWC") else None


def _inner(block: int) -> str:
    """What a layout's name ends in: `16c`, where channels lie in blocks."""
    return f"{block}c" if block else ""


def normalisation(layouts: Layouts, call: Any) -> Stored | None:
    """Layer, group and instance normalisation with axes of their own."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    attrs = call.attrs
    name = call.op.name.removeprefix("relax.nn.")
    axes = [operand.position(int(axis)) for axis in attrs.axes]
    if name in ("layer_norm", "rms_norm") and axes != sorted(axes):
        return None  # the scale has the axes in the model's order
    if name == "rms_norm":
        made = relax.op.nn.rms_norm(operand.expr, call.args[1], axes, float(attrs.epsilon))
        return Stored(made, operand.order)
    more = {"center": bool(attrs.center), "scale": bool(attrs.scale)}
    if name == "layer_norm":
        leading = [axes, float(attrs.epsilon)]
    else:
        channel = operand.position(int(attrs.channel_axis))
        groups = [int(attrs.num_groups)] if name == "group_norm" else []
        leading = [*groups, channel, axes, float(attrs.epsilon)]
    made = getattr(relax.op.nn, name)(operand.expr, *call.args[1:3], *leading, **more)
    return Stored(made, operand.order)


def prelu(layouts: Layouts, call: Any) -> Stored | None:
    """Slopes belong to one axis."""
    from tvm import relax

    operand = layouts.stored(call.args[0])
    made = relax.op.nn.prelu(operand.expr, call.args[1], operand.position(int(call.attrs.axis)))
    return Stored(made, operand.order)


def convolution(layouts: Layouts, call: Any) -> Stored | None:
    """Channels where they cost least, whichever the model has."""
    from tvm import relax

    attrs = call.attrs
    data_layout, kernel_layout = str(attrs.data_layout), str(attrs.kernel_layout)
    if str(attrs.out_layout) not in ("", data_layout) or sorted(data_layout) != sorted(
        set(data_layout)
    ):
        return None
    transposed = "transpose" in call.op.name
    if transposed and not (
        int(attrs.groups) == 1
        and is_constant(call.args[1])
        and all(int(one) == 1 for one in attrs.dilation)
    ):
        return None
    order = layouts.order_of_convolution(call)
    _, first = orders_of(data_layout)
    blocks = layouts.blocks_of_convolution(call) if order != first else (0, 0)
    given, result = (Stored(None, first if block else order, block) for block in blocks)
    lying = "".join(data_layout[axis] for axis in order)
    spatial = lying.replace("N", "").replace("C", "")
    if transposed:
        kernel = f"IO{spatial}"
    else:
        kernel = f"{spatial}IO" if lying.endswith("C") else f"OI{spatial}"
    weight = layouts.ordered(
        layouts.stored(call.args[1]), tuple(kernel_layout.index(letter) for letter in kernel)
    )
    make = getattr(relax.op.nn, call.op.name.removeprefix("relax.nn."))
    extra = {"output_padding": attrs.output_padding} if transposed else {}
    made = make(
        layouts.ordered(layouts.lying(call.args[0]), given.order, given.block),
        weight,
        strides=attrs.strides,
        padding=attrs.padding,
        dilation=attrs.dilation,
        groups=int(attrs.groups),
        data_layout=_told(data_layout, given),
        kernel_layout=kernel,
        out_layout=_told(data_layout, result),
        out_dtype=attrs.out_dtype or None,
        **extra,
    )
    return replace(result, expr=made)


def _told(layout: str, stored: Stored) -> str:
    """The name of a layout in memory."""
    return "".join(layout[axis] for axis in stored.order) + _inner(stored.block)


def _rank(call: Any) -> int | None:
    shape = shape_of(call)
    return None if shape is None else len(shape)


def _is_tensor(argument: Any) -> bool:
    from tvm import relax

    return isinstance(getattr(argument, "ty", None), relax.TensorType)


HANDLERS: dict[str, Handler] = {
    **{f"relax.{name}": elementwise for name in _ELEMENTWISE},
    **{f"relax.{name}": reduction for name in _REDUCTIONS},
    "relax.argmax": arg_reduction,
    "relax.argmin": arg_reduction,
    "relax.permute_dims": permutation,
    **{f"relax.{name}": reshape for name in ("reshape", "squeeze", "expand_dims", "flatten")},
    "relax.concat": concatenation,
    "relax.split": split,
    "relax.nn.softmax": softmax,
    "relax.nn.log_softmax": softmax,
    "relax.nn.pad": pad,
    "relax.strided_slice": strided_slice,
    "relax.nn.max_pool2d": pool,
    "relax.nn.avg_pool2d": pool,
    "relax.nn.adaptive_avg_pool2d": pool,
    "relax.image.resize2d": resize,
    "relax.nn.layer_norm": normalisation,
    "relax.nn.group_norm": normalisation,
    "relax.nn.instance_norm": normalisation,
    "relax.nn.rms_norm": normalisation,
    "relax.nn.prelu": prelu,
    **{
        f"relax.nn.{name}": convolution
        for name in ("conv1d", "conv2d", "conv3d", "conv1d_transpose", "conv2d_transpose")
    },
}
