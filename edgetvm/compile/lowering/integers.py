"""Convolutions and products of 8-bit integers: staged rows, then dot products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.compile.kernels import integer
from edgetvm.compile.kernels.contraction import Window
from edgetvm.compile.kernels.depthwise_bytes import Taps, depthwise_bytes
from edgetvm.compile.kernels.dots import Dot, dot_for
from edgetvm.compile.layout.stored import constant, shape_of
from edgetvm.compile.lowering.site import Extents, Site, last_two
from edgetvm.compile.schedules.tile import Tile, choose_tile, widths
from edgetvm.compile.schedules.work import shared_by


def dot_of(site: Site, data: Any, array: Any, length: int, columns: int) -> Dot | None:
    """The instruction for 8-bit data and weights that fit in 8 bits once they are centred.

    Args:
        site: where.
        data: of any type.
        array: the weights.
        length: neighbouring elements that one sum takes in a row.
        columns: neighbouring points that are summed.
    """
    given = str(data.ty.dtype)
    if given not in ("int8", "uint8") or array.dtype.kind not in "iu":
        return None
    if int(array.max()) - int(array.min()) > 255:
        return None
    return dot_for(site.profile, given, length, int(_centred(array)[0].min()), columns)


def integer_convolution(
    site: Site, data: Any, array: Any, window: Window, out_shape: Extents, dot: Dot
) -> Any:
    """Staged rows, then dot products; a border that a pad before it made is staged with them."""
    from tvm import relax

    given = data
    array, offset = _centred(array)
    data, border, before, after = with_border(site, data, window)
    channels, features = array.shape[-2], out_shape[-1]
    size = out_shape[1:-1]
    work = math.prod(out_shape) * math.prod(array.shape[:-1])
    # One instruction does the work of several multiply-adds.
    cores = shared_by(work // dot.depth, site.profile)
    shape = shape_of(data) or ()
    shift = dot.shift(str(data.ty.dtype))
    is_staged = dot.data != str(data.ty.dtype) or bool(shift) or any(before) or any(after)
    run = integer.run_of(window, channels, dot, is_staged)
    tile = choose_tile(
        features,
        *last_two(size),
        out_shape[0],
        site.profile,
        cores,
        together=run.together(dot),
        dot=dot,
    )
    width = _packing(site, features, size, dot, run.together(dot), tile)
    packed = integer.pack_dots(array, run, dot, width)
    flat = site.builder.emit(relax.op.reshape(data, [*shape[:-2], shape[-2] * shape[-1]]))
    rows = flat
    if is_staged or run.slack:
        rows = site.builder.emit(
            site.builder.call_te(
                lambda data: integer.staged(
                    data, channels, before, after, border, shift, dot, run.slack
                ),
                flat,
                primfunc_name_hint="stage",
            )
        )
    sums = site.builder.call_te(
        lambda rows, packed: integer.convolution(
            rows, packed, window, run, size, channels, features, dot
        ),
        rows,
        constant(packed),
        primfunc_name_hint="conv_int8",
    )
    sums = _unshifted(site, sums, array, shift)
    if not offset:
        return sums
    ones = np.ones((*array.shape[:-1], 1), np.int8)
    one_shape = (*out_shape[:-1], 1)
    total = integer_convolution(site, given, ones, window, one_shape, dot)
    return _with_offset(site, sums, total, offset)


def _packing(
    site: Site, features: int, points: Extents, dot: Dot, together: int, default: Tile
) -> int:
    """For how many features of a tile weights are packed."""
    possible = widths(features, *last_two(points), site.profile, together=together, dot=dot)
    return site.decisions.choose("packing", possible, default.width)


def integer_product(site: Site, data: Any, array: Any, shape: Extents, dot: Dot) -> Any:
    from tvm import relax

    array, offset = _centred(array)
    shift = dot.shift(str(data.ty.dtype))
    features = array.shape[-1]
    work = math.prod(shape) * features
    rows = (1, *shape[:-1])
    is_staged = dot.data != str(data.ty.dtype) or bool(shift)
    run = integer.run_of(integer.ONE_ELEMENT, shape[-1], dot, is_staged)
    tile = choose_tile(
        features,
        *last_two(rows),
        math.prod(rows[:-2]),
        site.profile,
        shared_by(work // dot.depth, site.profile),
        together=run.together(dot),
        dot=dot,
    )
    width = _packing(site, features, rows, dot, run.together(dot), tile)
    packed = integer.pack_dots(array[None], run, dot, width)[:, 0]
    none = (0,) * (len(shape) - 1)
    flat = relax.op.reshape(data, [1, *shape[:-2], shape[-2] * shape[-1]])
    staged_rows = site.builder.emit(flat)
    if is_staged or run.slack:
        staged_rows = site.builder.emit(
            site.builder.call_te(
                lambda data: integer.staged(data, 1, none, none, 0, shift, dot, run.slack),
                staged_rows,
                primfunc_name_hint="stage",
            )
        )
    sums = site.builder.call_te(
        lambda rows, packed: integer.product(rows, packed, run, shape[-2], features, dot),
        staged_rows,
        constant(packed),
        primfunc_name_hint="matmul_int8",
    )
    sums = _unshifted(site, sums, array, shift)
    if not offset:
        return sums
    ones = np.ones((array.shape[0], 1), np.int8)
    total = integer_product(site, data, ones, shape, dot)
    return _with_offset(site, sums, total, offset)


def bytes_of(site: Site, data: Any, array: Any) -> bool:
    """Whether data and weights are bytes, of a board that multiplies such."""
    if str(data.ty.dtype) not in ("int8", "uint8") or array.dtype.kind not in "iu":
        return False
    fit = int(array.min()) >= -128 and int(array.max()) <= 127
    return fit and site.profile.multiplies_bytes


def byte_depthwise(site: Site, data: Any, array: Any, window: Window, border: int) -> Any:
    """A depthwise convolution with products of 16 bits; weights are [...taps..., channels]."""
    shift = -128 if str(data.ty.dtype) == "uint8" else 0
    together = 2 if int(array.min()) > -128 else 1
    sums = site.builder.call_te(
        lambda data, packed: depthwise_bytes(data, packed, window, border, shift, together),
        data,
        constant(Taps.of(window).packed(array)),
        primfunc_name_hint="depthwise_int8",
    )
    return _unshifted(site, sums, array, shift)


def _centred(array: Any) -> tuple[Any, int]:
    """Weights as int8, and what was taken from each of them."""
    low, high = int(array.min()), int(array.max())
    offset = 0 if low >= -128 and high <= 127 else high - 127
    return (array.astype(np.int32) - offset).astype(np.int8), offset


def _with_offset(site: Site, sums: Any, total: Any, offset: int) -> Any:
    """The sums of weights from which `offset` was taken, and of the data alone."""
    from tvm import relax

    scaled = relax.op.multiply(site.builder.emit(total), relax.const(offset, "int32"))
    return relax.op.add(site.builder.emit(sums), site.builder.emit(scaled))


def _unshifted(site: Site, sums: Any, array: Any, shift: int) -> Any:
    """The sums without what the shift of the data has added to them."""
    from tvm import relax

    if not shift:
        return sums
    per_feature = array.astype(np.int64).sum(axis=tuple(range(array.ndim - 1)))
    shifted = (-shift * per_feature).astype(np.int32)
    return relax.op.add(site.builder.emit(sums), constant(shifted))


def with_border(site: Site, data: Any, window: Window) -> tuple[Any, int, Extents, Extents]:
    """The data without the constant border that a pad operator put round it, and that border."""
    import tvm
    from tvm import relax

    plain = (data, 0, window.before, window.after)
    made = site.builder.lookup_binding(data) if isinstance(data, relax.Var) else None
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
