"""Operators on pictures: padding, resizing, and blocks of space and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Lowering, Value
from edgetvm.models.relay.indexing import sliced
from edgetvm.models.relay.shapes import relayout

_MOST_PADDING = 1 << 20


def _widths(builder: Builder, value: Any, attributes: Attributes) -> list[tuple[int, int]]:
    """What is padded before and after each axis."""
    given = attributes.get("pad_width")
    if isinstance(given, np.ndarray):
        given = given.reshape(-1, 2).tolist()
    pairs = given if isinstance(given, list) else []
    flat = [size for pair in pairs if isinstance(pair, list) for size in pair]
    if len(pairs) != builder.rank(value) or len(flat) != 2 * len(pairs):
        raise malformed(f"pad_width {given!s:.100} for {builder.rank(value)} axes")
    if not all(isinstance(size, int) and abs(size) <= _MOST_PADDING for size in flat):
        raise malformed(f"pad_width {given!s:.100}")
    return list(zip(flat[::2], flat[1::2], strict=True))


def pad(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Padded with a number, or with what is at the edges."""
    data = arguments[0]
    widths = _widths(builder, data, attributes)
    mode = attributes.text("pad_mode", "constant")
    if mode != "constant":
        return _mirrored(builder, data, widths, {"edge": "edge", "reflect": "reflect"}[mode])
    value = arguments[1] if len(arguments) > 1 else None
    number = attributes.number("pad_value", 0.0)
    if value is not None:
        number = builder.known(value, "the value of a padding").item()
    for axis, (before, after) in enumerate(widths):
        if before < 0 or after < 0:  # a padding that crops
            size = builder.shape(data)[axis]
            begin, end = max(-before, 0), size - max(-after, 0)
            data = builder.take(data, range(begin, end), axis)
    flat = [max(size, 0) for pair in widths for size in pair]
    if not any(flat):
        return data
    dtype = builder.dtype(data)
    if "float" not in dtype and number != 0:
        from tvm.tirx import const

        # Relax pads with a float32; integers keep all their digits in TOPI's kernel.
        return builder.te(
            builder.topi.nn.pad, data, flat[::2], flat[1::2], const(int(number), dtype)
        )
    return builder.emit(builder.op.nn.pad(data, flat, "constant", float(number)))


def dynamic_pad(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """dyn.nn.pad: its widths are an argument, between the data and the number."""
    return pad(builder, (arguments[0], *arguments[2:3]), attributes)


def _mirrored(builder: Builder, data: Any, widths: Sequence[tuple[int, int]], mode: Any) -> Any:
    for axis, width in enumerate(widths):
        size = builder.shape(data)[axis]
        if min(width) < 0 or max(width) > size * 64:
            raise malformed(f"a padding of {width} around {size}")
        if any(width):
            builder.check_length(size + sum(width))
            data = builder.take(data, np.pad(np.arange(size), width, mode=mode), axis)
    return data


def mirror_pad(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Padded with a mirror image."""
    widths = _widths(builder, arguments[0], attributes)
    mode = {"SYMMETRIC": "symmetric", "REFLECT": "reflect"}[attributes.text("mode", "SYMMETRIC")]
    return _mirrored(builder, arguments[0], widths, mode)


# Resizing: along one axis after the other, with indices and weights that are known now.


def _places(
    size: int, wanted: int, mode: str, begin: float = 0.0, end: float = 1.0
) -> NDArray[np.float32]:
    """Where in the old axis each new element lies."""
    x = np.arange(wanted, dtype=np.float32)
    scale = np.float32(size) / np.float32(wanted)
    places: Any
    match mode:
        case "half_pixel":
            places = (x + 0.5) * scale - 0.5
        case "align_corners":
            places = np.float32(size - 1) / np.float32(max(wanted - 1, 1)) * x
        case "asymmetric":
            places = scale * x
        case "pytorch_half_pixel":
            places = (x + 0.5) * scale - 0.5 if wanted > 1 else x * 0
        case "tf_half_pixel_for_nn":
            places = (x + 0.5) * scale
        case "tf_crop_and_resize":
            step = (end - begin) * (size - 1) / max(wanted - 1, 1)
            middle = 0.5 * (begin + end) * (size - 1)
            places = begin * (size - 1) + x * step if wanted > 1 else x * 0 + middle
        case _:
            raise malformed(f"a resize with {mode:.40}")
    return np.asarray(places, np.float32)


def _nearest(places: NDArray[np.float32], rounding: str) -> NDArray[Any]:
    match rounding:
        case "round":
            found = np.sign(places) * np.floor(np.abs(places) + np.float32(0.5))
        case "round_prefer_floor":
            found = np.ceil(places - np.float32(0.5))
        case "round_prefer_ceil":
            found = np.floor(places + np.float32(0.5))
        case "ceil":
            found = np.ceil(places - np.float32(1e-5))
        case "floor":
            found = np.floor(places + np.float32(1e-5))
        case _:
            raise malformed(f"a resize that rounds by {rounding:.40}")
    return np.asarray(found)


def _taps(
    places: NDArray[np.float32], size: int, method: str, rounding: str, alpha: float, exclude: bool
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Pairs of indices and weights: each new element is the sum over them."""
    if method == "nearest_neighbor":
        return [(_nearest(places, rounding).clip(0, size - 1), np.ones(len(places)))]
    whole = np.floor(places)
    part = (places - whole).astype(np.float64)
    if method == "linear":
        offsets, weights = [0, 1], [1 - part, part]
    elif method == "cubic":
        t2, t3 = part**2, part**3
        offsets = [-1, 0, 1, 2]
        weights = [
            alpha * (t3 - 2 * t2 + part),
            (alpha + 2) * t3 - (3 + alpha) * t2 + 1,
            -(alpha + 2) * t3 + (3 + 2 * alpha) * t2 - alpha * part,
            -alpha * t3 + alpha * t2,
        ]
    else:
        raise malformed(f"a resize by {method:.40}")
    if exclude:
        inside = [(whole + offset >= 0) & (whole + offset < size) for offset in offsets]
        weights = [np.where(ok, w, 0) for ok, w in zip(inside, weights, strict=True)]
        total = sum(weights)
        weights = [w / total for w in weights]
    return [
        ((whole + offset).clip(0, size - 1), weight)
        for offset, weight in zip(offsets, weights, strict=True)
    ]


def _resized_axis(
    builder: Builder, data: Any, axis: int, taps: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> Any:
    rank = builder.rank(data)
    total = None
    for indices, weights in taps:
        part = builder.take(data, indices.astype(int), axis)
        if len(taps) > 1:
            factor = builder.along(builder.const(weights, "float32"), rank, axis)
            part = builder.binary("multiply", part, factor)
        total = part if total is None else builder.binary("add", total, part)
    return total


def _resized(
    builder: Builder, data: Any, layout: str, sizes: dict[str, int], attributes: Attributes
) -> Any:
    method = attributes.text("method", "linear")
    method = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(method, method)
    mode = attributes.text("coordinate_transformation_mode", "half_pixel")
    # TVM's text leaves out "round"; an empty one leaves it to the mode.
    rounding = attributes.get("rounding_method", "round")
    rounding = rounding or ("round" if mode == "align_corners" else "floor")
    dtype = builder.dtype(data)
    out_dtype = attributes.dtype("out_dtype", dtype)
    inner = layout
    if not layout.isalpha() or layout.upper() != layout:
        inner = "".join(letter for letter in layout if letter.isupper())
        data = relayout(builder, data, layout, inner)
    if len(inner) != builder.rank(data):
        raise malformed(f"a resize of {builder.rank(data)} axes in the layout {layout:.20}")
    if method != "nearest_neighbor":
        data = builder.cast(data, "float32")
    regions = attributes.get("roi")
    outside: list[tuple[int, NDArray[Any]]] = []
    # Width first, as TVM's kernels interpolate.
    for letter, wanted in reversed(sizes.items()):
        axis = inner.index(letter)
        size = builder.shape(data)[axis]
        if not 0 < wanted <= 1 << 20:
            raise malformed(f"a resize to {wanted}")
        begin, end = 0.0, 1.0
        if mode == "tf_crop_and_resize":
            if not isinstance(regions, list) or len(regions) != 2 * len(sizes):
                raise malformed("a resize of a region that is not named")
            place = list(sizes).index(letter)
            begin, end = float(regions[place]), float(regions[place + len(sizes)])
        places = _places(size, wanted, mode, begin, end)
        if mode == "tf_crop_and_resize":
            outside.append((axis, (places < 0) | (places > size - 1)))
        alpha = attributes.number("cubic_alpha", -0.5)
        exclude = bool(attributes.integer("cubic_exclude", 0)) and method == "cubic"
        taps = _taps(places, size, method, rounding, alpha, exclude)
        data = _resized_axis(builder, data, axis, taps)
    for axis, mask in outside:
        if mask.any():
            gone = builder.along(builder.const(mask, "bool"), builder.rank(data), axis)
            number = builder.scalar(attributes.number("extrapolation_value", 0.0), data)
            data = builder.emit(builder.op.where(gone, number, data))
    return relayout(builder, builder.cast(data, out_dtype), inner, layout)


def resize(space: str) -> Lowering:
    """image.resize1d, 2d and 3d."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        sizes = dict(zip(space, attributes.window("size", len(space), None), strict=True))
        layout = attributes.text("layout", f"NC{space}")
        return _resized(builder, arguments[0], layout, sizes, attributes)

    return lower


def old_resize(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """image.resize of TVM 0.6 and 0.7."""
    given = {name: attributes.get(name) for name in ("size", "layout", "out_dtype")}
    given |= {"method": attributes.text("method", "bilinear"), "rounding_method": ""}
    default = "half_pixel"
    if "align_corners" in attributes:
        default = "align_corners" if attributes.flag("align_corners") else "asymmetric"
    given["coordinate_transformation_mode"] = attributes.text(
        "coordinate_transformation_mode", default
    )
    return resize("HW")(builder, arguments, Attributes(given))


def upsampling(space: str) -> Lowering:
    """nn.upsampling and nn.upsampling3d."""

    def lower(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
        data = arguments[0]
        layout = attributes.text("layout", f"NC{space}")
        names = [letter for letter in layout if letter.isalpha()]
        shape = builder.shape(data)
        if not set(space) <= set(names) or len(names) != len(shape):
            raise malformed(f"upsampling of {len(shape)} axes in the layout {layout:.20}")
        sizes = {}
        for letter in space:
            scaled = shape[names.index(letter)] * attributes.number(f"scale_{letter.lower()}", 1.0)
            if not 0 < scaled < 1 << 24:
                raise malformed(f"upsampling to {scaled}")
            sizes[letter] = round(scaled)  # halves to even, as TVM rounds what it knows
        mode = "align_corners" if attributes.flag("align_corners") else "asymmetric"
        if len(space) == 3:
            mode = attributes.text("coordinate_transformation_mode", "half_pixel")
        method = attributes.text("method", "nearest_neighbor")
        given: dict[str, Any] = {"method": method, "coordinate_transformation_mode": mode}
        given |= {"rounding_method": "", "cubic_alpha": -0.75}
        return _resized(builder, data, layout, sizes, Attributes(given))

    return lower


# Blocks.


def depth_to_space(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Channels become a block of space."""
    block = attributes.window("block_size", 1, None)[0]
    layout = attributes.text("layout", "NCHW")
    data = relayout(builder, arguments[0], layout, "NCHW")
    n, c, h, w = builder.shape(data)
    if c % (block * block):
        raise malformed(f"{c} channels in blocks of {block} by {block}")
    deep = c // (block * block)
    if attributes.text("mode", "DCR") == "DCR":
        data = builder.reshape(data, [n, block, block, deep, h, w])
        data = builder.permute(data, [0, 3, 4, 1, 5, 2])
    else:
        data = builder.reshape(data, [n, deep, block, block, h, w])
        data = builder.permute(data, [0, 1, 4, 2, 5, 3])
    return relayout(builder, builder.reshape(data, [n, deep, h * block, w * block]), "NCHW", layout)


def space_to_depth(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """A block of space becomes channels."""
    block = attributes.window("block_size", 1, None)[0]
    layout = attributes.text("layout", "NCHW")
    data = relayout(builder, arguments[0], layout, "NCHW")
    n, c, h, w = builder.shape(data)
    if h % block or w % block:
        raise malformed(f"{h} by {w} in blocks of {block}")
    data = builder.reshape(data, [n, c, h // block, block, w // block, block])
    data = builder.permute(data, [0, 3, 5, 1, 2, 4])
    data = builder.reshape(data, [n, c * block * block, h // block, w // block])
    return relayout(builder, data, "NCHW", layout)


def _pairs(attributes: Attributes, name: str, count: int) -> list[tuple[int, int]]:
    pairs = attributes.get(name)
    pairs = pairs.tolist() if isinstance(pairs, np.ndarray) else pairs
    flat = [size for pair in pairs for size in pair] if isinstance(pairs, list) else []
    if len(flat) != 2 * count or not all(0 <= size <= _MOST_PADDING for size in flat):
        raise malformed(f"its attribute {name} is {pairs!s:.60}")
    return list(zip(flat[::2], flat[1::2], strict=True))


def space_to_batch(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """nn.space_to_batch_nd: blocks of space become batches."""
    data = arguments[0]
    block = attributes.window("block_shape", len(attributes.integers("block_shape")), None)
    count = len(block)
    pairs = [(0, 0), *_pairs(attributes, "paddings", count)]
    pairs += [(0, 0)] * (builder.rank(data) - count - 1)
    flat = [size for pair in pairs for size in pair]
    if any(flat):
        number = attributes.number("pad_value", 0.0)
        data = builder.emit(builder.op.nn.pad(data, flat, "constant", number))
    batch, *shape = builder.shape(data)
    split = [batch]
    for size, part in zip(shape, block, strict=False):
        if size % part:
            raise malformed(f"{size} in blocks of {part}")
        split += [size // part, part]
    rest = shape[count:]
    data = builder.reshape(data, [*split, *rest])
    parts, wholes = range(2, 2 * count + 1, 2), range(1, 2 * count, 2)
    order = [*parts, 0, *wholes, *range(2 * count + 1, builder.rank(data))]
    data = builder.permute(data, order)
    smaller = [size // part for size, part in zip(shape, block, strict=False)]
    return builder.reshape(data, [batch * math.prod(block), *smaller, *rest])


def batch_to_space(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """nn.batch_to_space_nd: the other way round, then cropped."""
    data = arguments[0]
    block = attributes.window("block_shape", len(attributes.integers("block_shape")), None)
    count = len(block)
    crops = _pairs(attributes, "crops", count)
    batch, *shape = builder.shape(data)
    if batch % math.prod(block) or len(shape) < count:
        raise malformed(f"{batch} batches in blocks of {block}")
    data = builder.reshape(data, [*block, batch // math.prod(block), *shape])
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    data = builder.permute(data, [*order, *range(2 * count + 1, builder.rank(data))])
    larger = [size * part for size, part in zip(shape, block, strict=False)]
    data = builder.reshape(data, [batch // math.prod(block), *larger, *shape[count:]])
    parts = {}
    for axis, (size, (before, after)) in enumerate(zip(larger, crops, strict=True), 1):
        if before + after > size:
            raise malformed(f"{size} cropped by {before} and {after}")
        parts[axis] = (before, size - after, 1)
    return sliced(builder, data, parts)
