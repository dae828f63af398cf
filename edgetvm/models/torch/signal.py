"""Fourier transforms and complex numbers, which travel as pairs in a last axis of 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import Emitter, rank_of, shape_of
from edgetvm.models.onnx.signal import MOST_SAMPLES
from edgetvm.models.torch.call import Call, Converter


def _real_to_complex(call: Call) -> Any:
    emit, value = call.emit, call["self"]
    if len(call["dim"]) != 1:
        raise call.refusal("it transforms several axes", "transform one axis after the other")
    axis = call["dim"][0] % rank_of(value)
    size = shape_of(value)[axis]
    if size > MOST_SAMPLES:
        raise call.refusal(
            f"a transform of {size} samples; {MOST_SAMPLES} are the most",
            "transform shorter frames",
        )
    bins = size // 2 + 1 if call["onesided"] else size
    angles = 2 * np.pi * (np.outer(np.arange(size), np.arange(bins)) % size) / size
    scale = {0: 1.0, 1: size**-0.5, 2: 1.0 / size}[call["normalization"]]
    waves = np.concatenate([np.cos(angles), -np.sin(angles)], 1) * scale
    order = [one for one in range(rank_of(value)) if one != axis] + [axis]
    spectrum = emit.matmul(emit.transpose(value, order), emit.const(waves, str(value.ty.dtype)))
    leading = shape_of(spectrum)[:-1]
    pairs = emit.reshape(spectrum, (*leading, 2, bins))
    # Back to where the axis was, the pair last.
    place = [order.index(one) for one in range(rank_of(value))]
    return emit.transpose(
        pairs, [one + (one == len(order) - 1) for one in place] + [len(order) - 1]
    )


def _parts(emit: Emitter, value: Any) -> tuple[Any, Any]:
    axis = rank_of(value) - 1
    first, second = (emit.slice(value, axis, index, index + 1) for index in (0, 1))
    return first, second


def _size(call: Call) -> Any:
    emit, value = call.emit, call["self"]
    squares = emit.multiply(value, value)
    return emit.unary("sqrt", emit.emit(emit.operator("sum")(squares, [-1])))


def _angle(call: Call) -> Any:
    real, imaginary = _parts(call.emit, call["self"])
    angle = call.emit.emit(call.emit.operator("atan2")(imaginary, real))
    return call.emit.squeeze(angle, rank_of(angle) - 1)


def _product(call: Call) -> Any:
    emit = call.emit
    a, b, c, d = (
        *_parts(emit, call["self"]),
        *_parts(emit, call["other"]),
    )
    real = emit.subtract(emit.multiply(a, c), emit.multiply(b, d))
    imaginary = emit.add(emit.multiply(a, d), emit.multiply(b, c))
    return emit.concat([real, imaginary], rank_of(real) - 1)


def _conjugate(call: Call) -> Any:
    sign = call.emit.const(np.array([1, -1]), str(call["self"].ty.dtype))
    return call.emit.multiply(call["self"], sign)


def _same(call: Call) -> Any:
    return call["self"]


def _reshaped(call: Call) -> Any:
    return call.emit.reshape(call["self"], (*call.shape, 2))


def _permuted(call: Call) -> Any:
    rank = rank_of(call["self"]) - 1
    return call.emit.transpose(call["self"], [*(axis % rank for axis in call["dims"]), rank])


def _broadcast(call: Call) -> Any:
    emit, shape = call.emit, shape_of(call["self"])
    padded = emit.reshape(call["self"], (*[1] * (len(call.shape) + 1 - len(shape)), *shape))
    return emit.broadcast(padded, (*call.shape, 2))


def _selected(call: Call) -> Any:
    emit, value = call.emit, call["self"]
    axis = call["dim"] % (rank_of(value) - 1)
    index = call["index"] % shape_of(value)[axis]
    return emit.squeeze(emit.slice(value, axis, index, index + 1), axis)


def _joined(call: Call) -> Any:
    values: Sequence[Any] = call["tensors"]
    return call.emit.concat(values, call["dim"] % (rank_of(values[0]) - 1))


def _sum(call: Call) -> Any:
    return call.emit.add(call["self"], call["other"])


def _difference(call: Call) -> Any:
    return call.emit.subtract(call["self"], call["other"])


# Of these, both operands have to be complex.
COMPLEX_PAIRS = ("aten.mul.Tensor", "aten.add.Tensor", "aten.sub.Tensor")

# Of operators that take or give complex tensors.
COMPLEX: dict[str, Converter] = {
    "aten._fft_r2c.default": _real_to_complex,
    "aten.view_as_real.default": _same,
    "aten.view_as_complex.default": _same,
    "aten.abs.default": _size,
    "aten.angle.default": _angle,
    "aten.mul.Tensor": _product,
    "aten.add.Tensor": _sum,
    "aten.sub.Tensor": _difference,
    "aten._conj.default": _conjugate,
    "aten.clone.default": _same,
    "aten.alias.default": _same,
    "aten.view.default": _reshaped,
    "aten.unsqueeze.default": _reshaped,
    "aten.squeeze.dim": _reshaped,
    "aten.squeeze.dims": _reshaped,
    "aten.permute.default": _permuted,
    "aten.expand.default": _broadcast,
    "aten.select.int": _selected,
    "aten.cat.default": _joined,
}
