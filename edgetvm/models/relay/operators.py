"""The table of Relay operators: what each becomes, in one place.

Each entry takes the builder, the lowered arguments and the attributes. What is not here is
refused by name before anything is lowered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgetvm.models.relay import elementwise as e
from edgetvm.models.relay import images as i
from edgetvm.models.relay import manipulate as m
from edgetvm.models.relay import neural as n
from edgetvm.models.relay import quantised as q
from edgetvm.models.relay.builder import Attributes, Builder, Value
from edgetvm.models.relay.elementwise import Lowering


@dataclass(frozen=True)
class Operator:
    """An entry.

    Attributes:
        lower: makes the Relax calls.
        tensors_as_attributes: arguments that must be constant, with the attribute that each is.
    """

    lower: Lowering
    tensors_as_attributes: tuple[tuple[str, int], ...] = ()


def _te(path: str, arity: int, *names: str, **defaults: Any) -> Lowering:
    """A function of TOPI: so many tensors, then attributes by name."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        function: Any = builder.topi
        for part in path.split("."):
            function = getattr(function, part)
        given = [attributes.get(name, defaults.get(name)) for name in names]
        return builder.te(function, *arguments[:arity], *given)

    return lower


def _tril(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    diagonal = int(builder.known(arguments[1], "a diagonal").item()) if len(arguments) > 1 else 0
    name = "triu" if attributes.flag("upper", True) else "tril"
    return builder.emit(getattr(builder.op, name)(arguments[0], diagonal))


def _fixed(lowering: Lowering, **attributes: Any) -> Lowering:
    def lower(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
        return lowering(builder, arguments, Attributes(attributes))

    return lower


def _sliced_by_tensors(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    strides = attributes.integers("strides", [1])
    begins, ends = attributes.integers("begin"), attributes.integers("end")
    given = {"begin": begins, "end": ends, "strides": strides}
    given |= {"slice_mode": attributes.get("slice_mode"), "axes": attributes.get("axes")}
    return m.strided_slice(builder, arguments, Attributes(given))


def _scaled_by_tensors(space: str) -> Lowering:
    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        names = [f"scale_{letter.lower()}" for letter in space]
        given: dict[str, Any] = {
            name: float(builder.known(argument, name).item())
            for name, argument in zip(names, arguments[1:], strict=False)
        }
        for name in ("layout", "method", "align_corners", "coordinate_transformation_mode"):
            given[name] = attributes.get(name)
        return i.upsampling(space)(builder, arguments[:1], Attributes(given))

    return lower


_UNARY = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "logical_not",
    "negative",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "zeros_like",
]
_BINARY = [
    "add",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "divide",
    "equal",
    "floor_divide",
    "floor_mod",
    "greater",
    "greater_equal",
    "left_shift",
    "less",
    "less_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "not_equal",
    "power",
    "right_shift",
    "subtract",
]
_IDENTITIES = [
    "annotation.bitpack_end",
    "annotation.bitpack_start",
    "annotation.cast_hint",
    "annotation.checkpoint",
    "annotation.compiler_begin",
    "annotation.compiler_end",
    "annotation.force_cast",
    "annotation.stop_fusion",
    "copy",
    "device_copy",
    "on_device",
    "identity",
    "stop_gradient",
]

_ELEMENTWISE: dict[str, Lowering] = {
    **{name: e.relax(name, 1) for name in _UNARY if name != "zeros_like"},
    **{name: e.relax(name, 2) for name in _BINARY},
    **dict.fromkeys(_IDENTITIES, e.identity),
    **{f"fast_{name}": e.relax(name, 1) for name in ("exp", "erf", "tanh")},
    "mod": e.truncated(remainder=True),
    "trunc_mod": e.truncated(remainder=True),
    "trunc_divide": e.truncated(remainder=False),
    "log2": e.log_base(2),
    "log10": e.log_base(10),
    "round": e.round_,
    "clip": e.clip,
    "cast": e.cast,
    "cast_like": e.cast_like,
    "reinterpret": e.reinterpret,
    "where": e.where,
}

_REDUCTIONS: dict[str, Lowering] = {
    **{name: e.reduce(name) for name in ("sum", "mean", "max", "min", "prod")},
    **{name: e.all_or_any(name) for name in ("all", "any")},
    **{name: e.arg_reduce(name) for name in ("argmax", "argmin")},
    **{name: e.scan(name) for name in ("cumsum", "cumprod")},
    "variance": e.variance,
    "std": e.standard_deviation,
    "logsumexp": e.logsumexp,
}

_MANIPULATIONS: dict[str, Lowering] = {
    "reshape": m.reshape,
    "contrib_reverse_reshape": m.reverse_reshape,
    "reshape_like": m.reshape_like,
    "expand_dims": m.expand_dims,
    "squeeze": m.squeeze,
    "transpose": m.transpose,
    "layout_transform": m.layout_transform,
    "nn.batch_flatten": m.batch_flatten,
    "concatenate": m.concatenate,
    "stack": m.stack,
    "split": m.split,
    "strided_slice": m.strided_slice,
    "slice_like": m.slice_like,
    "take": m.take,
    "gather": m.gather,
    "gather_nd": m.gather_nd,
    "adv_index": lambda builder, arguments, _: builder.te(
        builder.topi.adv_index, arguments[0][0], list(arguments[0][1:])
    ),
    "scatter": m.scatter("update"),
    "scatter_add": m.scatter("add"),
    "scatter_elements": m.scatter("update"),
    "scatter_nd": m.scatter_nd,
    "reverse": m.reverse,
    "reverse_sequence": _te(
        "reverse_sequence", 2, "seq_axis", "batch_axis", seq_axis=1, batch_axis=0
    ),
    "repeat": m.repeat,
    "tile": m.tile,
    "broadcast_to": m.broadcast_to,
    "broadcast_to_like": m.broadcast_like,
    "collapse_sum_to": m.collapse_to,
    "collapse_sum_like": m.collapse_like,
    "zeros": m.filled(0),
    "ones": m.filled(1),
    "zeros_like": m.filled_like(0),
    "ones_like": m.filled_like(1),
    "full": m.full,
    "full_like": m.full_like,
    "arange": m.arange,
    "shape_of": m.shape_of,
    "vm.shape_of": m.shape_of,
    "ndarray_size": m.size_of,
    "one_hot": m.one_hot,
    "meshgrid": m.meshgrid,
    "sort": m.sort,
    "argsort": m.argsort,
    "topk": m.topk,
    "trilu": _tril,
    "sequence_mask": _te("sequence_mask", 2, "mask_value", "axis", mask_value=0.0, axis=0),
    "sparse_to_dense": lambda builder, arguments, attributes: builder.te(
        builder.topi.sparse_to_dense,
        arguments[0],
        attributes.integers("output_shape"),
        *arguments[1:3],
    ),
    "searchsorted": _te("searchsorted", 2, "right", "dtype", right=False, dtype="int32"),
    "einsum": n.einsum,
}

_NEURAL: dict[str, Lowering] = {
    **{f"nn.conv{count}d": n.conv(count) for count in (1, 2, 3)},
    **{f"nn.conv{count}d_transpose": n.conv_transpose(count) for count in (1, 2, 3)},
    "nn.contrib_conv2d_NCHWc": n.conv(2),
    "nn.contrib_depthwise_conv2d_NCHWc": n.conv(2),
    "nn.dense": n.dense,
    "nn.matmul": n.matmul,
    "matmul": n.matmul,
    "nn.batch_matmul": n.batch_matmul,
    "nn.bias_add": n.bias_add,
    **{
        f"nn.{kind}_pool{count}d": n.pool(kind, count)
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    **{
        f"nn.global_{kind}_pool{count}d": n.global_pool(kind, count)
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    **{
        f"{room}adaptive_{kind}_pool{count}d": n.adaptive_pool(kind, count)
        for room in ("nn.", "contrib.")
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    "nn.batch_norm": n.batch_norm,
    "nn.layer_norm": n.layer_norm,
    "nn.instance_norm": n.instance_norm,
    "nn.group_norm": n.group_norm,
    "nn.l2_normalize": n.l2_normalize,
    "nn.lrn": n.lrn,
    "nn.relu": n.relu,
    "nn.leaky_relu": n.leaky_relu,
    "nn.prelu": n.prelu,
    "nn.softmax": n.softmax("softmax"),
    "nn.fast_softmax": n.softmax("softmax"),
    "nn.log_softmax": n.softmax("log_softmax"),
    "nn.dropout": n.dropout,
    "nn.fifo_buffer": m.fifo_buffer,
    "nn.dilate": _te("nn.dilate", 1, "strides", "dilation_value", dilation_value=0.0),
}

_IMAGES: dict[str, Lowering] = {
    "nn.pad": i.pad,
    "nn.mirror_pad": i.mirror_pad,
    "nn.upsampling": i.upsampling("HW"),
    "nn.upsampling3d": i.upsampling("DHW"),
    "nn.depth_to_space": i.depth_to_space,
    "nn.space_to_depth": i.space_to_depth,
    "nn.space_to_batch_nd": i.space_to_batch,
    "nn.batch_to_space_nd": i.batch_to_space,
    "image.resize": i.old_resize,
    "image.resize1d": i.resize("W"),
    "image.resize2d": i.resize("HW"),
    "image.resize3d": i.resize("DHW"),
    "image.grid_sample": _te(
        "image.grid_sample",
        2,
        "method",
        "layout",
        "padding_mode",
        "align_corners",
        method="bilinear",
        layout="NCHW",
        padding_mode="zeros",
        align_corners=True,
    ),
    "image.affine_grid": _te("image.affine_grid", 1, "target_shape"),
}

_QUANTISED: dict[str, Lowering] = {
    "qnn.quantize": q.quantize,
    "qnn.dequantize": q.dequantize,
    "qnn.requantize": q.requantize,
    "qnn.add": q.added("add"),
    "qnn.subtract": q.added("subtract"),
    "qnn.mul": q.multiplied,
    "qnn.conv2d": q.conv2d,
    "qnn.conv2d_transpose": q.conv2d_transpose,
    "qnn.dense": q.dense,
    "qnn.batch_matmul": q.dense,
    "qnn.concatenate": q.joined,
    "qnn.simulated_quantize": q.simulated_quantize,
    "qnn.simulated_dequantize": q.simulated_dequantize,
    **{
        f"qnn.{name}": q.through_float(
            lambda builder, value, _, name=name: builder.emit(getattr(builder.op, name)(value))
        )
        for name in ("abs", "erf", "exp", "log", "rsqrt", "sigmoid", "sqrt", "tanh")
    },
    "qnn.hardswish": q.through_float(q.hard_swish),
    "qnn.leaky_relu": q.through_float(lambda b, value, a: n.leaky_relu(b, (value,), a)),
    "qnn.softmax": q.through_float(lambda b, value, a: n.softmax("softmax")(b, (value,), a)),
    "qnn.avg_pool2d": q.avg_pool2d(n.pool("avg", 2)),
    "relay.op.annotation.simulated_quantize": q.simulated,
    "fixed_point_multiply": q.fixed_point_multiply,
    "fixed_point_multiply_per_axis": q.fixed_point_multiply_per_axis,
}

# Shapes given as tensors: with fixed inputs they are constants, and the attribute of the other.
_DYNAMIC: dict[str, Operator] = {
    "dyn.reshape": Operator(m.reshape, (("newshape", 1),)),
    "dyn.expand_dims": Operator(m.expand_dims, (("axis", 1),)),
    "dyn.squeeze": Operator(m.squeeze, (("axis", 1),)),
    "dyn.tile": Operator(m.tile, (("reps", 1),)),
    "dyn.broadcast_to": Operator(m.broadcast_to, (("shape", 1),)),
    "dyn.zeros": Operator(m.filled(0), (("shape", 0),)),
    "dyn.ones": Operator(m.filled(1), (("shape", 0),)),
    "dyn.full": Operator(m.full, (("shape", 1),)),
    "dyn.one_hot": Operator(m.one_hot, (("depth", 3),)),
    "dyn.topk": Operator(m.topk, (("k", 1),)),
    "dyn.strided_slice": Operator(_sliced_by_tensors, (("begin", 1), ("end", 2), ("strides", 3))),
    "dyn.sparse_to_dense": Operator(
        lambda builder, arguments, attributes: builder.te(
            builder.topi.sparse_to_dense,
            arguments[0],
            attributes.integers("output_shape"),
            *arguments[1:3],
        ),
        (("output_shape", 3),),
    ),
    "dyn.nn.pad": Operator(
        lambda builder, arguments, attributes: i.pad(
            builder, (arguments[0], *arguments[2:3]), attributes
        ),
        (("pad_width", 1),),
    ),
    "dyn.nn.upsampling": Operator(_scaled_by_tensors("HW")),
    "dyn.nn.upsampling3d": Operator(_scaled_by_tensors("DHW")),
    "dyn.image.resize2d": Operator(i.resize("HW"), (("size", 1),)),
    "unravel_index": Operator(
        lambda builder, arguments, attributes: builder.te(
            builder.topi.unravel_index,
            arguments[0],
            builder.const(attributes.integers("shape"), "int64"),
        ),
        (("shape", 1),),
    ),
}

OPERATORS: dict[str, Operator] = {
    **{
        name: Operator(lowering)
        for table in (_ELEMENTWISE, _REDUCTIONS, _MANIPULATIONS, _NEURAL, _IMAGES, _QUANTISED)
        for name, lowering in table.items()
    },
    **_DYNAMIC,
}
