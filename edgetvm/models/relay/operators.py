"""The table of Relay operators: what each becomes, in one place.

Each entry takes the builder, the lowered arguments and the attributes. What is not here is
refused by name before anything is lowered.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgetvm.models.relay import (
    elementwise,
    images,
    indexing,
    kernels,
    making,
    neural,
    normalise,
    quantised,
    shapes,
    vision,
)
from edgetvm.models.relay.builder import Lowering


@dataclass(frozen=True)
class Operator:
    """An entry.

    Attributes:
        lower: makes the Relax calls.
        tensors_as_attributes: arguments that must be constant, with the attribute that each is.
    """

    lower: Lowering
    tensors_as_attributes: tuple[tuple[str, int], ...] = ()


_UNARY = (
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_not", "ceil", "cos"),
    *("cosh", "erf", "exp", "floor", "isfinite", "isinf", "isnan", "log", "logical_not"),
    *("negative", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"),
)
_BINARY = (
    *("add", "bitwise_and", "bitwise_or", "bitwise_xor", "divide", "equal", "floor_divide"),
    *("floor_mod", "greater", "greater_equal", "left_shift", "less", "less_equal"),
    *("logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply"),
    *("not_equal", "power", "right_shift", "subtract"),
)
# They say where or how to compute, not what.
_IDENTITIES = (
    *("annotation.bitpack_end", "annotation.bitpack_start", "annotation.cast_hint"),
    *("annotation.checkpoint", "annotation.compiler_begin", "annotation.compiler_end"),
    *("annotation.force_cast", "annotation.on_device", "annotation.stop_fusion"),
    *("copy", "debug", "device_copy", "identity", "on_device", "stop_gradient"),
)
_QNN_FUNCTIONS = ("abs", "erf", "exp", "log", "rsqrt", "sigmoid", "sqrt", "tanh")

_ELEMENTWISE: dict[str, Lowering] = {
    **{name: elementwise.relax(name, 1) for name in _UNARY},
    **{name: elementwise.relax(name, 2) for name in _BINARY},
    **dict.fromkeys(_IDENTITIES, elementwise.identity),
    **{f"fast_{name}": elementwise.relax(name, 1) for name in ("exp", "erf", "tanh")},
    "mod": elementwise.truncated(remainder=True),
    "trunc_mod": elementwise.truncated(remainder=True),
    "trunc_divide": elementwise.truncated(remainder=False),
    "log2": elementwise.log_base(2),
    "log10": elementwise.log_base(10),
    "round": elementwise.round_,
    "clip": elementwise.clip,
    "cast": elementwise.cast,
    "cast_like": elementwise.cast_like,
    "reinterpret": elementwise.reinterpret,
    "where": elementwise.where,
}

_REDUCTIONS: dict[str, Lowering] = {
    **{name: elementwise.reduce(name) for name in ("sum", "mean", "max", "min", "prod")},
    **{name: elementwise.all_or_any(name) for name in ("all", "any")},
    **{name: elementwise.arg_reduce(name) for name in ("argmax", "argmin")},
    **{name: elementwise.scan(name) for name in ("cumsum", "cumprod")},
    "variance": elementwise.variance,
    "std": elementwise.standard_deviation,
    "logsumexp": elementwise.logsumexp,
}

_MANIPULATIONS: dict[str, Lowering] = {
    "reshape": shapes.reshape,
    "contrib_reverse_reshape": shapes.reverse_reshape,
    "reshape_like": shapes.reshape_like,
    "expand_dims": shapes.expand_dims,
    "squeeze": shapes.squeeze,
    "transpose": shapes.transpose,
    "layout_transform": shapes.layout_transform,
    "nn.batch_flatten": shapes.batch_flatten,
    "concatenate": shapes.concatenate,
    "stack": shapes.stack,
    "split": indexing.split,
    "strided_slice": indexing.strided_slice,
    "slice_like": indexing.slice_like,
    "take": indexing.take,
    "gather": indexing.gather,
    "gather_nd": indexing.gather_nd,
    "adv_index": kernels.adv_index,
    "scatter": indexing.scatter("update"),
    "scatter_add": indexing.scatter("add"),
    "scatter_elements": indexing.scatter("update"),
    "scatter_nd": indexing.scatter_nd,
    "reverse": indexing.reverse,
    "reverse_sequence": kernels.topi("reverse_sequence", 2, seq_axis=1, batch_axis=0),
    "repeat": making.repeat,
    "tile": making.tile,
    "broadcast_to": making.broadcast_to,
    "broadcast_to_like": making.broadcast_like,
    "collapse_sum_to": making.collapse_to,
    "collapse_sum_like": making.collapse_like,
    "zeros": making.filled(0),
    "ones": making.filled(1),
    "zeros_like": making.filled_like(0),
    "ones_like": making.filled_like(1),
    "full": making.full,
    "full_like": making.full_like,
    "arange": making.arange,
    "shape_of": making.shape_of,
    "vm.shape_of": making.shape_of,
    "ndarray_size": making.size_of,
    "one_hot": making.one_hot,
    "meshgrid": making.meshgrid,
    "sort": indexing.sort,
    "argsort": indexing.argsort,
    "topk": indexing.topk,
    "trilu": making.trilu,
    "sequence_mask": kernels.topi("sequence_mask", 2, mask_value=0.0, axis=0),
    "sparse_to_dense": kernels.sparse_to_dense,
    "searchsorted": kernels.topi("searchsorted", 2, right=False, dtype="int32"),
    "matrix_set_diag": kernels.matrix_set_diag,
    "sliding_window": kernels.sliding_window,
    "dft": kernels.dft,
    "stft": kernels.stft,
    "einsum": neural.einsum,
}

_NEURAL: dict[str, Lowering] = {
    **{f"nn.conv{count}d": neural.conv(count) for count in (1, 2, 3)},
    **{f"nn.conv{count}d_transpose": neural.conv_transpose(count) for count in (1, 2, 3)},
    **dict.fromkeys(
        (
            "nn.contrib_conv2d_NCHWc",
            "nn.contrib_conv2d_NCHWc_int8",
            "nn.contrib_depthwise_conv2d_NCHWc",
        ),
        neural.conv(2),
    ),
    "nn.deformable_conv2d": kernels.deformable_conv2d,
    "nn.correlation": kernels.correlation,
    "nn.dense": neural.dense,
    "nn.contrib_dense_pack": kernels.packed_dense,
    "nn.dense_pack": kernels.packed_dense,
    "nn.sparse_dense": kernels.sparse_dense,
    "nn.matmul": neural.matmul,
    "matmul": neural.matmul,
    "nn.batch_matmul": neural.batch_matmul,
    "nn.bias_add": neural.bias_add,
    **{
        f"nn.{kind}_pool{count}d": neural.pool(kind, count)
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    **{
        f"nn.global_{kind}_pool{count}d": neural.global_pool(kind, count)
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    **{
        f"{room}adaptive_{kind}_pool{count}d": neural.adaptive_pool(kind, count)
        for room in ("nn.", "contrib.")
        for kind in ("max", "avg")
        for count in (1, 2, 3)
    },
    "nn.batch_norm": normalise.batch_norm,
    "nn.layer_norm": normalise.layer_norm,
    "nn.instance_norm": normalise.instance_norm,
    "nn.group_norm": normalise.group_norm,
    "nn.l2_normalize": normalise.l2_normalize,
    "nn.lrn": normalise.lrn,
    "nn.relu": normalise.relu,
    "nn.leaky_relu": normalise.leaky_relu,
    "nn.prelu": normalise.prelu,
    "nn.softmax": normalise.softmax("softmax"),
    "nn.fast_softmax": normalise.softmax("softmax"),
    "nn.log_softmax": normalise.softmax("log_softmax"),
    "nn.dropout": normalise.dropout,
    "nn.fifo_buffer": indexing.fifo_buffer,
    "nn.dilate": kernels.topi("nn.dilate", 1, strides=None, dilation_value=0.0),
}

_IMAGES: dict[str, Lowering] = {
    "nn.pad": images.pad,
    "nn.mirror_pad": images.mirror_pad,
    "nn.upsampling": images.upsampling("HW"),
    "nn.upsampling3d": images.upsampling("DHW"),
    "nn.depth_to_space": images.depth_to_space,
    "nn.space_to_depth": images.space_to_depth,
    "nn.space_to_batch_nd": images.space_to_batch,
    "nn.batch_to_space_nd": images.batch_to_space,
    "image.resize": images.old_resize,
    "image.resize1d": images.resize("W"),
    "image.resize2d": images.resize("HW"),
    "image.resize3d": images.resize("DHW"),
    "image.grid_sample": kernels.topi(
        "image.grid_sample",
        2,
        method="bilinear",
        layout="NCHW",
        padding_mode="zeros",
        align_corners=True,
    ),
    "image.affine_grid": kernels.topi("image.affine_grid", 1, target_shape=None),
    "image.crop_and_resize": vision.crop_and_resize,
    "image.dilation2d": kernels.dilation2d,
    "vision.get_valid_counts": vision.get_valid_counts,
    "vision.multibox_prior": vision.multibox_prior,
    "vision.non_max_suppression": vision.non_max_suppression,
    "vision.roi_align": vision.roi_align,
    "vision.roi_pool": vision.roi_pool,
}

_QUANTISED: dict[str, Lowering] = {
    "qnn.quantize": quantised.quantize,
    "qnn.dequantize": quantised.dequantize,
    "qnn.requantize": quantised.requantize,
    "qnn.add": quantised.added("add"),
    "qnn.subtract": quantised.added("subtract"),
    "qnn.mul": quantised.multiplied,
    "qnn.conv2d": quantised.conv2d,
    "qnn.conv2d_transpose": quantised.conv2d_transpose,
    "qnn.dense": quantised.dense,
    "qnn.batch_matmul": quantised.dense,
    "qnn.concatenate": quantised.joined,
    "qnn.simulated_quantize": quantised.simulated_quantize,
    "qnn.simulated_dequantize": quantised.simulated_dequantize,
    **{f"qnn.{name}": quantised.function(name) for name in _QNN_FUNCTIONS},
    "qnn.hardswish": quantised.through_float(quantised.hard_swish),
    "qnn.leaky_relu": quantised.through_float(normalise.leaky_relu),
    "qnn.softmax": quantised.through_float(normalise.softmax("softmax")),
    "qnn.avg_pool2d": quantised.through_float(neural.pool("avg", 2)),
    "relay.op.annotation.simulated_quantize": quantised.simulated,
    "fixed_point_multiply": quantised.fixed_point_multiply,
    "fixed_point_multiply_per_axis": quantised.fixed_point_multiply_per_axis,
}

# Shapes given as tensors: with fixed inputs they are constants, and the attribute of the other.
_DYNAMIC: dict[str, Operator] = {
    "dyn.reshape": Operator(shapes.reshape, (("newshape", 1),)),
    "dyn.expand_dims": Operator(shapes.expand_dims, (("axis", 1),)),
    "dyn.squeeze": Operator(shapes.squeeze, (("axis", 1),)),
    "dyn.tile": Operator(making.tile, (("reps", 1),)),
    "dyn.broadcast_to": Operator(making.broadcast_to, (("shape", 1),)),
    "dyn.zeros": Operator(making.filled(0), (("shape", 0),)),
    "dyn.ones": Operator(making.filled(1), (("shape", 0),)),
    "dyn.full": Operator(making.full, (("shape", 1),)),
    "dyn.one_hot": Operator(making.one_hot, (("depth", 3),)),
    "dyn.topk": Operator(indexing.topk, (("k", 1),)),
    "dyn.strided_slice": Operator(
        indexing.strided_slice, (("begin", 1), ("end", 2), ("strides", 3))
    ),
    "dyn.sparse_to_dense": Operator(kernels.sparse_to_dense, (("output_shape", 3),)),
    "dyn.nn.pad": Operator(images.dynamic_pad, (("pad_width", 1),)),
    "dyn.nn.upsampling": Operator(images.upsampling("HW"), (("scale_h", 1), ("scale_w", 2))),
    "dyn.nn.upsampling3d": Operator(
        images.upsampling("DHW"), (("scale_d", 1), ("scale_h", 2), ("scale_w", 3))
    ),
    "dyn.image.resize2d": Operator(images.resize("HW"), (("size", 1),)),
    "unravel_index": Operator(kernels.unravel_index, (("shape", 1),)),
}

OPERATORS: dict[str, Operator] = {
    **{
        name: Operator(lowering)
        for table in (_ELEMENTWISE, _REDUCTIONS, _MANIPULATIONS, _NEURAL, _IMAGES, _QUANTISED)
        for name, lowering in table.items()
    },
    **_DYNAMIC,
}
