"""Operators for which Relax has nothing, and TOPI has a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.neural import dense
from edgetvm.models.relay.shapes import fields_of, relayout


def topi(path: str, arity: int, **defaults: Any) -> Lowering:
    """A function of TOPI: so many tensors, then the attributes that are named, in this order."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        function: Any = builder.topi
        for part in path.split("."):
            function = getattr(function, part)
        given = [attributes.get(name, default) for name, default in defaults.items()]
        return builder.te(function, *arguments[:arity], *given)

    return lower


def adv_index(builder: Builder, arguments: tuple[Value, ...], _: Attributes) -> Value:
    """numpy's indexing by arrays: the data, then an array for each of its first axes."""
    data, *indices = fields_of(arguments[0])
    return builder.te(builder.topi.adv_index, data, indices)


def sparse_to_dense(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """Numbers at coordinates, and one for the rest."""
    shape = attributes.window("output_shape", len(attributes.integers("output_shape")), None)
    default = arguments[2:3]
    return builder.te(builder.topi.sparse_to_dense, arguments[0], shape, arguments[1], *default)


def unravel_index(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Coordinates of flat indices."""
    shape = builder.const(attributes.integers("shape"), "int64")
    return builder.te(builder.topi.unravel_index, arguments[0], shape)


def matrix_set_diag(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """Other diagonals, from `k1` to `k2`."""
    sides = ("LEFT", "RIGHT")
    upper = sides[attributes.flag("super_diag_right_align", True)]
    lower = sides[attributes.flag("sub_diag_right_align")]
    bounds = (attributes.integer("k1", 0), attributes.integer("k2", 0))
    data, diagonal = arguments[:2]
    return builder.te(builder.topi.matrix_set_diag, data, diagonal, bounds, f"{upper}_{lower}")


def dft(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Fourier transform of a real and an imaginary part: a tuple."""
    from tvm.tirx import IntImm

    inverse = IntImm("int32", int(attributes.flag("inverse")))
    both = builder.te(builder.topi.dft, *arguments[:2], inverse)
    return builder.fields(both, 2)


def stft(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Fourier transforms of windows."""
    data, window = arguments[:2]
    size, hop = attributes.integer("n_fft"), attributes.integer("hop_length")
    batch, length = builder.shape(data)
    if not 0 < size <= length or hop < 1:
        raise malformed(f"windows of {size} in steps of {hop} over {length}")
    one_sided = attributes.flag("onesided", True)
    shape = [batch, size // 2 + 1 if one_sided else size, (length - size) // hop + 1, 2]
    width = attributes.integer("win_length", size)
    flags = (attributes.flag("normalized"), one_sided)
    return builder.te(builder.topi.stft, data, size, hop, width, window, *flags, shape)


def packed_dense(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """nn.contrib_dense_pack: weights in blocks of outputs."""
    weight = relayout(builder, arguments[1], attributes.text("weight_layout", "NC8n"), "NC")
    return dense(builder, (arguments[0], weight), attributes)


def sparse_dense(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """nn.sparse_dense: weights as compressed rows of numbers or of blocks, which are filled in."""
    if attributes.flag("sparse_lhs"):
        raise malformed("data that are sparse")
    arrays = [builder.known(value, "a sparse weight") for value in arguments[1:4]]
    numbers, columns, begins = arrays
    block = numbers.shape[1:] or (1, 1)
    inputs = builder.shape(arguments[0])[-1]
    rows = (len(begins) - 1) * block[0]
    if len(block) != 2 or min(block) < 1 or rows < 1 or inputs % block[1]:
        raise malformed(f"blocks of {list(block)} in weights of {inputs} inputs")
    builder.check_elements([rows, inputs])
    weight = np.zeros((rows // block[0], inputs // block[1], *block), numbers.dtype)
    counts = np.diff(begins)
    if min(counts, default=0) < 0 or counts.sum() != len(numbers) != len(columns):
        raise malformed("sparse weights whose parts do not fit together")
    weight[np.repeat(np.arange(len(counts)), counts), columns] = numbers.reshape(-1, *block)
    full = weight.transpose(0, 2, 1, 3).reshape(rows, inputs)
    made = builder.const(full, full.dtype.name)
    return dense(builder, (arguments[0], made), attributes)


def correlation(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """nn.correlation of two pictures."""
    if attributes.text("layout", "NCHW") != "NCHW":
        raise malformed("a correlation in another layout than NCHW")
    names = ("kernel_size", "max_displacement", "stride1", "stride2")
    sizes = [attributes.integer(name, 1) for name in names]
    if min(sizes) < 0 or max(sizes) > 1 << 12 or 0 in (sizes[0], *sizes[2:]):
        raise malformed(f"a correlation of {sizes}")
    padding = attributes.integers("padding", [0])
    multiply = attributes.flag("is_multiply", True)
    left, right = arguments[:2]
    kernel = builder.topi.nn.correlation_nchw
    return builder.te(kernel, left, right, *sizes, padding, multiply)


def deformable_conv2d(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """A convolution whose window's places are data."""
    data, offset, kernel = arguments[:3]
    layout = attributes.text("data_layout", "NCHW")
    data, offset = (relayout(builder, one, layout, "NCHW") for one in (data, offset))
    kernel = relayout(builder, kernel, attributes.text("kernel_layout", "OIHW"), "OIHW")
    groups = [attributes.integer(name, 1) for name in ("deformable_groups", "groups")]
    if min(groups) < 1:
        raise malformed(f"{groups} groups")
    result = builder.te(
        builder.topi.nn.deformable_conv2d_nchw,
        *(data, offset, kernel, attributes.window("strides", 2), attributes.padding(2)),
        *(attributes.window("dilation", 2), *groups, builder.dtype(data)),
    )
    return relayout(builder, result, "NCHW", attributes.text("out_layout", layout))


def dilation2d(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """image.dilation2d: the largest sum of a window and a kernel."""
    data, kernel = arguments[:2]
    layout = attributes.text("data_layout", "NCHW")
    data = relayout(builder, data, layout, "NCHW")
    kernel = relayout(builder, kernel, attributes.text("kernel_layout", "IHW"), "IHW")
    result = builder.te(
        builder.topi.image.dilation2d_nchw,
        *(data, kernel, attributes.window("strides", 2), attributes.padding(2)),
        *(attributes.window("dilations", 2), builder.dtype(data)),
    )
    return relayout(builder, result, "NCHW", layout)


def sliding_window(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Windows over the last axes."""
    data = arguments[0]
    axis = builder.axis(attributes.integer("axis"), builder.rank(data))
    count = builder.rank(data) - axis
    shape, strides = (attributes.window(name, count, None) for name in ("window_shape", "strides"))
    sizes = builder.shape(data)[axis:]
    if any(part > size for part, size in zip(shape, sizes, strict=True)):
        raise malformed(f"windows of {shape} in {list(sizes)}")
    if math.prod(shape) > 1 << 24:
        raise malformed(f"windows of {shape}")
    return builder.te(builder.topi.sliding_window, data, axis, shape, strides)
