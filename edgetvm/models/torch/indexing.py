"""Operators that pick elements: by a number, by tensors of indices, by windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import array_of, dtype_of, rank_of, shape_of
from edgetvm.models.torch.call import Call, Converter


def _select(call: Call) -> Any:
    emit, value = call.emit, call["self"]
    axis = call["dim"] % rank_of(value)
    index = call["index"] % shape_of(value)[axis]
    return emit.squeeze(emit.slice(value, axis, index, index + 1), axis)


def _take(call: Call, value: Any, indices: Any, axis: int) -> Any:
    """Elements at indices of any rank; one beyond the end gives the last, not a crash."""
    array = array_of(indices)
    if array is not None:
        return call.emit.take(value, array % max(shape_of(value)[axis], 1), axis)
    return call.emit.emit(call.emit.operator("take")(value, indices, axis, mode="clip"))


def _index_select(call: Call) -> Any:
    value = call["self"]
    return _take(call, value, call["index"], call["dim"] % rank_of(value))


def _embedding(call: Call) -> Any:
    return _take(call, call["weight"], call["indices"], 0)


def _positive(call: Call, indices: Any, length: int) -> Any:
    """Indices from the front, where some count from the end."""
    emit = call.emit
    wide = emit.cast(indices, "int64")
    from_end = emit.add(wide, emit.like(length, wide))
    return emit.where(emit.less(wide, emit.like(0, wide)), from_end, wide)


def _index_put(call: Call) -> Any:
    """`x[i, :, j] = values`: the indexed axes come in front, and go back."""
    emit, value, indices = call.emit, call["self"], list(call["indices"])
    if any(one is not None and dtype_of(one) == "bool" for one in indices):
        raise call.refusal("how many elements its mask picks depends on the data")
    axes = [axis for axis, one in enumerate(indices) if one is not None]
    shape = shape_of(value)
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise call.refusal("its indices are not side by side")
    broadcast = np.broadcast_shapes(*(shape_of(indices[axis]) for axis in axes))
    columns = [
        emit.unsqueeze(
            emit.broadcast(_positive(call, indices[axis], shape[axis]), broadcast), len(broadcast)
        )
        for axis in axes
    ]
    place = axes[0]
    before, after = (
        tuple(shape[axis] for axis in rest[at]) for at in (slice(place), slice(place, None))
    )
    whole = (*before, *broadcast, *after)
    own = shape_of(call["values"])
    updates = emit.reshape(call["values"], (*[1] * (len(whole) - len(own)), *own))
    updates = emit.broadcast(updates, whole)
    middle = range(place, place + len(broadcast))
    order = (*middle, *(one for one in range(len(whole)) if one not in middle))
    put = emit.operator("scatter_nd")(
        emit.transpose(value, (*axes, *rest)),
        emit.concat(columns, len(broadcast)),
        emit.transpose(updates, order),
        "add" if call["accumulate"] else "update",
    )
    forward = (*axes, *rest)
    return emit.transpose(emit.emit(put), [forward.index(one) for one in range(len(shape))])


def _scatter_reduce(call: Call) -> Any:
    names = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}
    if call["reduce"] not in names or not call["include_self"]:
        raise call.refusal(f"it reduces by {call['reduce']!r} without the own elements")
    return _scatter(names[call["reduce"]])(call)


def _index(call: Call) -> Any:
    """`x[i, :, j]`: the indexed axes become one, in front; its elements are taken by number."""
    emit, value, indices = call.emit, call["self"], list(call["indices"])
    if any(one is not None and dtype_of(one) == "bool" for one in indices):
        raise call.refusal("how many elements its mask picks depends on the data")
    axes = [axis for axis, one in enumerate(indices) if one is not None]
    shape = shape_of(value)
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    broadcast = np.broadcast_shapes(*(shape_of(indices[axis]) for axis in axes))
    number = None
    for axis in axes:
        one = _positive(call, indices[axis], shape[axis])
        length = emit.like(shape[axis], one)
        number = one if number is None else emit.add(emit.multiply(number, length), one)
    number = emit.broadcast(number, broadcast)
    front = emit.transpose(value, (*axes, *rest))
    count = math.prod(shape[axis] for axis in axes)
    flat = emit.reshape(front, (count, *(shape[axis] for axis in rest)))
    taken = _take(call, flat, number, 0)
    # Neighbouring axes are replaced where they were; others put the new ones in front.
    place = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
    new = list(range(len(broadcast)))
    order = [len(new) + index for index in range(len(rest))]
    return emit.transpose(taken, (*order[:place], *new, *order[place:]))


def _windows(call: Call) -> Any:
    """`x.unfold(axis, size, step)`: the windows in the axis' place, their elements last."""
    emit, value = call.emit, call["self"]
    axis, size, step = call["dimension"] % max(rank_of(value), 1), call["size"], call["step"]
    starts = np.arange(0, shape_of(value)[axis] - size + 1, step)
    taken = emit.take(value, starts[:, None] + np.arange(size), axis)
    order = [one for one in range(rank_of(taken)) if one != axis + 1]
    return emit.transpose(taken, (*order, axis + 1))


def _patches(call: Call) -> Any:
    """`nn.Unfold`: the patches of an image as columns."""
    emit, value = call.emit, call["self"]
    top, left = call["padding"]
    pads = [0] * (2 * (rank_of(value) - 2)) + [top, left]
    value = emit.emit(
        emit.operator("nn.pad")(
            value, [one for pad in pads[-rank_of(value) :] for one in (pad, pad)]
        )
    )
    batched = rank_of(value) == 4
    value = value if batched else emit.unsqueeze(value, 0)
    batch, channels, height, width = shape_of(value)
    for axis, length, index in ((3, width, 1), (2, height, 0)):
        size, stride = call["kernel_size"][index], call["stride"][index]
        reach = call["dilation"][index]
        starts = np.arange(0, length - reach * (size - 1), stride)
        value = emit.take(value, np.arange(size)[:, None] * reach + starts, axis)
    # [batch, channels, kernel rows, rows, kernel columns, columns]
    shape = shape_of(value)
    value = emit.transpose(value, (0, 1, 2, 4, 3, 5))
    value = emit.reshape(value, (batch, channels * shape[2] * shape[4], shape[3] * shape[5]))
    return value if batched else emit.squeeze(value, 0)


def _scatter(reduction: str) -> Converter:
    def convert(call: Call) -> Any:
        emit, value, indices = call.emit, call["self"], call["index"]
        updates = call.arguments.get("src", call.arguments.get("value"))
        if not hasattr(updates, "ty"):
            updates = emit.const(np.full(shape_of(indices), updates, dtype_of(value)))
        for axis, size in enumerate(shape_of(indices)):
            updates = emit.slice(updates, axis, 0, size)
        scatter = emit.operator("scatter_elements")
        return emit.emit(scatter(value, indices, updates, call["dim"] % rank_of(value), reduction))

    return convert


def _grid_sample(call: Call) -> Any:
    from tvm import relax

    emit = call.emit
    method = ("bilinear", "nearest", "bicubic")[call["interpolation_mode"]]
    padding = ("zeros", "border", "reflection")[call["padding_mode"]]
    # TVM's kernel wants the two coordinates in front of the grid.
    grid = emit.transpose(call["grid"], (0, 3, 1, 2))
    return emit.emit(
        relax.op.image.grid_sample(
            call["input"],
            grid,
            method=method,
            padding_mode=padding,
            align_corners=bool(call["align_corners"]),
        )
    )


INDEXING: dict[str, Converter] = {
    "aten.select.int": _select,
    "aten.index_select.default": _index_select,
    "aten.embedding.default": _embedding,
    "aten.index.Tensor": _index,
    "aten.unfold.default": _windows,
    "aten.im2col.default": _patches,
    "aten.scatter.src": _scatter("update"),
    "aten.scatter.value": _scatter("update"),
    "aten.scatter_add.default": _scatter("add"),
    "aten.scatter_reduce.two": _scatter_reduce,
    "aten.index_put.default": _index_put,
    "aten.grid_sampler_2d.default": _grid_sample,
}
