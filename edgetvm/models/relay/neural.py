"""Convolutions, matrix products and pools."""

from __future__ import annotations

from typing import Any

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.elementwise import mean
from edgetvm.models.relay.shapes import layout_axes, relayout

_SPACES = {1: "W", 2: "HW", 3: "DHW"}


def wide_product(builder: Builder, left: Any, right: Any, out_dtype: str) -> tuple[Any, Any]:
    """Operands of one dtype, as TVM's kernels want them."""
    kinds = {builder.dtype(left), builder.dtype(right)}
    if len(kinds) == 1:
        return left, right
    wide = "int32" if out_dtype == "int32" else out_dtype
    if "int32" in kinds or not all("int" in kind for kind in kinds):
        return builder.cast(left, wide), builder.cast(right, wide)
    return builder.cast(left, "int16"), builder.cast(right, "int16")


def _out_dtype(builder: Builder, attributes: Attributes, data: Any) -> str:
    return attributes.dtype("out_dtype", builder.dtype(data))


def convolve(
    builder: Builder, data: Any, kernel: Any, attributes: Attributes, count: int, out_dtype: str
) -> Any:
    """A convolution over `count` axes, in any layout."""
    space = _SPACES[count]
    first, last = f"NC{space}", f"N{space}C"
    layout = attributes.text("data_layout", first)
    kernel_layout = attributes.text("kernel_layout", f"OI{space}")
    out_layout = attributes.text("out_layout", layout)
    groups = attributes.integer("groups", 1)
    inner = layout if layout in (first, last) else first
    data = relayout(builder, data, layout, inner)
    kernel = relayout(builder, kernel, kernel_layout, f"OI{space}")
    channels = builder.shape(data)[inner.index("C")]
    outs, ins, *window = builder.shape(kernel)
    if groups < 1 or channels % groups:
        raise malformed(f"{groups} groups of {channels} channels")
    if ins * groups != channels and outs == groups == channels:
        # A depthwise kernel as TensorFlow has it: channels, then the multiplier.
        kernel = builder.reshape(kernel, [outs * ins, 1, *window])
    if inner == last:
        kernel = builder.permute(kernel, [*range(2, count + 2), 1, 0])
    data, kernel = wide_product(builder, data, kernel, out_dtype)
    function = getattr(builder.op.nn, f"conv{count}d")
    result = builder.emit(
        function(
            data,
            kernel,
            strides=attributes.window("strides", count),
            padding=attributes.padding(count),
            dilation=attributes.window("dilation", count),
            groups=groups,
            data_layout=inner,
            kernel_layout=f"{space}IO" if inner == last else f"OI{space}",
            out_dtype=out_dtype,
        )
    )
    return relayout(builder, result, inner, out_layout)


def conv(count: int) -> Lowering:
    """A convolution over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, kernel = arguments[:2]
        out_dtype = _out_dtype(builder, attributes, data)
        return convolve(builder, data, kernel, attributes, count, out_dtype)

    return lower


def convolve_transposed(
    builder: Builder, data: Any, kernel: Any, attributes: Attributes, count: int, out_dtype: str
) -> Any:
    """A transposed convolution. TVM before 0.9 called its kernel's layout OI, and it was IO."""
    space = _SPACES[count]
    first = f"NC{space}"
    layout = attributes.text("data_layout", first)
    kernel_layout = attributes.text("kernel_layout", f"IO{space}")
    out_layout = attributes.text("out_layout", layout)
    data = relayout(builder, data, layout, first)
    channels = builder.shape(data)[1]
    if kernel_layout == f"OI{space}":
        kernel_layout = f"IO{space}"
    moved = relayout(builder, kernel, kernel_layout, f"IO{space}")
    if builder.shape(moved)[0] != channels and builder.shape(kernel)[0] == channels:
        moved = kernel
    data, moved = wide_product(builder, data, moved, out_dtype)
    function = getattr(builder.op.nn, f"conv{count}d_transpose")
    result = builder.emit(
        function(
            data,
            moved,
            strides=attributes.window("strides", count),
            padding=attributes.padding(count),
            output_padding=attributes.window("output_padding", count, 0, least=0),
            dilation=attributes.window("dilation", count),
            groups=attributes.integer("groups", 1),
            data_layout=first,
            kernel_layout=f"IO{space}",
            out_dtype=out_dtype,
        )
    )
    return relayout(builder, result, first, out_layout)


def conv_transpose(count: int) -> Lowering:
    """A transposed convolution over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data, kernel = arguments[:2]
        out_dtype = _out_dtype(builder, attributes, data)
        return convolve_transposed(builder, data, kernel, attributes, count, out_dtype)

    return lower


# Matrix products.


def multiply_matrices(builder: Builder, left: Any, right: Any, out_dtype: str) -> Any:
    """A matrix product with its sums in `out_dtype`."""
    if builder.rank(left) == 0 or builder.rank(right) == 0:
        raise malformed("a matrix product of a scalar")
    left, right = wide_product(builder, left, right, out_dtype)
    return builder.emit(builder.op.matmul(left, right, out_dtype))


def swapped(builder: Builder, value: Any) -> Any:
    """With the last two axes swapped."""
    rank = builder.rank(value)
    if rank < 2:
        raise malformed(f"a matrix of {rank} axes")
    return builder.permute(value, [*range(rank - 2), rank - 1, rank - 2])


def dense(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Data times transposed weights."""
    out_dtype = _out_dtype(builder, attributes, arguments[0])
    return multiply_matrices(builder, arguments[0], swapped(builder, arguments[1]), out_dtype)


def matmul(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Either side transposed as its attributes say."""
    left, right = arguments[:2]
    out_dtype = _out_dtype(builder, attributes, left)
    left = swapped(builder, left) if attributes.flag("transpose_a") else left
    right = swapped(builder, right) if attributes.flag("transpose_b") else right
    return multiply_matrices(builder, left, right, out_dtype)


def batch_matmul(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The same for a batch. TVM before 0.8 had no attributes: the right side was transposed."""
    left, right = arguments[:2]
    inner = builder.shape(left)[-2 if attributes.flag("transpose_a") else -1]
    other = builder.shape(right)
    turned = attributes.flag("transpose_b")
    if not turned and len(other) == 3 and inner != other[1] and inner == other[2]:
        turned = True
    given = {"transpose_a": attributes.flag("transpose_a"), "transpose_b": turned}
    given["out_dtype"] = attributes.get("out_dtype")
    return matmul(builder, (left, right), Attributes(given))


def einsum(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Einstein's sum."""
    values = arguments[0] if isinstance(arguments[0], tuple) else arguments
    return builder.emit(builder.op.einsum(values, attributes.text("equation")))


def bias_add(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A vector added along an axis."""
    data, bias = arguments[:2]
    rank = builder.rank(data)
    axis = builder.axis(attributes.integer("axis", 1), rank)
    return builder.binary("add", data, builder.along(bias, rank, axis))


# Pools.


def pool(kind: str, count: int) -> Lowering:
    """max_pool and avg_pool over `count` axes."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        first = f"NC{_SPACES[count]}"
        layout = attributes.text("layout", first)
        inner = layout if layout in (first, f"N{_SPACES[count]}C") else first
        data = relayout(builder, arguments[0], layout, inner)
        window = {
            "pool_size": attributes.window("pool_size", count, None),
            "strides": attributes.window("strides", count),
            "dilation": attributes.window("dilation", count),
            "padding": attributes.padding(count),
        }
        ceil_mode, count_pad = (attributes.flag(n) for n in ("ceil_mode", "count_include_pad"))
        if kind == "avg" and "int" in builder.dtype(data):
            # Relax has its type wrong: the kernel gives int64, whatever it is given.
            kernel = getattr(builder.topi.nn, f"pool{count}d")
            wide = builder.te(kernel, data, *window.values(), kind, ceil_mode, inner, count_pad)
            result = builder.cast(wide, builder.dtype(data))
        else:
            result = builder.emit(
                getattr(builder.op.nn, f"{kind}_pool{count}d")(
                    data,
                    **window,
                    ceil_mode=ceil_mode,
                    layout=inner,
                    count_include_pad=count_pad,
                )
            )
        return relayout(builder, result, inner, attributes.text("out_layout", layout))

    return lower


def _space(builder: Builder, value: Any, attributes: Attributes, count: int) -> list[int]:
    layout = attributes.text("layout", f"NC{_SPACES[count]}")
    letters = [letter for letter, _ in layout_axes(layout)]
    if len(letters) != builder.rank(value) or not set(_SPACES[count]) <= set(letters):
        raise malformed(f"a pool of {builder.rank(value)} axes in the layout {layout:.20}")
    return [letters.index(letter) for letter in _SPACES[count]]


def global_pool(kind: str, count: int) -> Lowering:
    """A pool over all of the picture."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        axes = _space(builder, arguments[0], attributes, count)
        if kind == "avg":
            return mean(builder, arguments[0], axes, True)
        return builder.emit(builder.op.max(arguments[0], axes, True))

    return lower


def adaptive_pool(kind: str, count: int) -> Lowering:
    """A pool into so many windows."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        value = arguments[0]
        axes = _space(builder, value, attributes, count)
        if attributes.integers("output_size", []):
            sizes = attributes.window("output_size", count)
        else:
            sizes = [builder.shape(value)[axis] for axis in axes]
        if set(sizes) == {1}:
            return global_pool(kind, count)(builder, arguments, attributes)
        layout, first = attributes.text("layout", f"NC{_SPACES[count]}"), f"NC{_SPACES[count]}"
        value = relayout(builder, value, layout, first)
        name = "adaptive_pool" if count == 2 else f"adaptive_pool{count}d"
        result = builder.te(getattr(builder.topi.nn, name), value, sizes, kind, first)
        return relayout(builder, result, first, layout)

    return lower
