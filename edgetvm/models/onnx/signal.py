"""Speech front ends: Fourier transforms as products with constant matrices, windows, reversal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import array_of, dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

# A matrix of as many rows and columns as samples: 4096 make 64 MB.
MOST_SAMPLES = 4096


def _rotations(length: int, bins: int, inverse: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """cos and sin of each sample (rows) in each bin (columns)."""
    turns = np.outer(np.arange(length), np.arange(bins)) % length
    angles = 2 * np.pi * turns / length * (1 if inverse else -1)
    return np.cos(angles), np.sin(angles)


def _transform(
    node: Node, value: Any, length: int, bins: int, inverse: bool, window: Any = None
) -> tuple[Any, Any]:
    """Real and imaginary part of the transform along the axis before the last.

    Args:
        node: for its emitter.
        value: `[…, length, 1 or 2]`.
        length: of the transform.
        bins: how many of its results are wanted.
        inverse: the other way, scaled by 1 / length.
        window: `[length]`, multiplied into the samples; may be constant.
    """
    emit = node.emit
    if length > MOST_SAMPLES:
        raise node.refusal(f"a transform of {length} samples; {MOST_SAMPLES} are the most")
    dtype = dtype_of(value)
    cos, sin = _rotations(length, bins, inverse)
    if inverse:
        cos, sin = cos / length, sin / length
    weights = array_of(window) if window is not None else None
    if weights is not None:
        cos, sin = cos * weights[:, None], sin * weights[:, None]
    rank = rank_of(value)
    parts = [
        emit.squeeze(part, rank - 1) for part in emit.split(value, shape_of(value)[-1], rank - 1)
    ]
    if window is not None and weights is None:
        parts = [emit.multiply(part, emit.cast(window, dtype)) for part in parts]
    c, s = emit.const(cos, dtype), emit.const(sin, dtype)
    real, imaginary = emit.matmul(parts[0], c), emit.matmul(parts[0], s)
    if len(parts) == 2:
        real = emit.subtract(real, emit.matmul(parts[1], s))
        imaginary = emit.add(imaginary, emit.matmul(parts[1], c))
    return real, imaginary


def _fitted(node: Node, value: Any, axis: int, length: int) -> Any:
    """Cut or filled with zeros along an axis."""
    emit = node.emit
    shape = shape_of(value)
    if shape[axis] >= length:
        return emit.slice(value, axis, 0, length)
    missing = list(shape)
    missing[axis] = length - shape[axis]
    return emit.concat([value, emit.const(np.zeros(missing, dtype_of(value)))], axis)


def dft(node: Node) -> Any:
    """Discrete Fourier transform; onesided gives half of it, or (inverse) takes half of it."""
    emit, value = node.emit, node.inputs[0]
    rank = rank_of(value)
    if node.opset >= 20:
        axis = int(node.require(2, "axis").ravel()[0]) if node.has(2) else -2
    else:
        axis = int(node.attributes.get("axis", 1))
    axis %= rank
    onesided = bool(node.attributes.get("onesided", 0))
    inverse = bool(node.attributes.get("inverse", 0))
    given = node.require(1, "length") if node.has(1) else None
    size = shape_of(value)[axis]
    halved = onesided and inverse
    length = int(given.ravel()[0]) if given is not None else 2 * (size - 1) if halved else size
    if halved:
        value = _mirrored(node, _fitted(node, value, axis, length // 2 + 1), axis, length)
    value = _fitted(node, value, axis, length)
    bins = length // 2 + 1 if onesided and not inverse else length
    order = [i for i in range(rank) if i not in (axis, rank - 1)] + [axis, rank - 1]
    real, imaginary = _transform(node, emit.transpose(value, order), length, bins, inverse)
    parts = [real] if halved else [real, imaginary]
    whole = emit.concat([emit.unsqueeze(part, rank - 1) for part in parts], rank - 1)
    back = [order.index(i) for i in range(rank)]
    return emit.transpose(whole, back)


def _mirrored(node: Node, value: Any, axis: int, length: int) -> Any:
    """The whole spectrum of a real signal from its first half: the rest is conjugate."""
    emit = node.emit
    rank = rank_of(value)
    behind = np.arange(length - length // 2 - 1, 0, -1)
    rest = emit.take(value, behind, axis)
    if shape_of(value)[-1] == 2:
        signs = np.array([1, -1], dtype_of(value)).reshape([1] * (rank - 1) + [2])
        rest = emit.multiply(rest, emit.const(signs))
    return emit.concat([value, rest], axis) if len(behind) else value


def stft(node: Node) -> Any:
    """Overlapping frames, each windowed and transformed."""
    emit, value = node.emit, node.inputs[0]
    hop = int(node.require(1, "frame step").ravel()[0])
    window = node.input(2)
    length = (
        int(node.require(3, "frame length").ravel()[0])
        if node.has(3)
        else shape_of(window)[0]
        if window is not None
        else 0
    )
    if length < 1 or hop < 1:
        raise node.refusal("it has neither a window nor a frame length")
    if rank_of(value) == 2:
        value = emit.unsqueeze(value, 2)
    frames = 1 + (shape_of(value)[1] - length) // hop
    if window is not None and shape_of(window)[0] != length:
        raise node.refusal("its window is not as long as a frame")
    index = hop * np.arange(frames)[:, None] + np.arange(length)[None, :]
    batch, _, parts = shape_of(value)
    cut = emit.reshape(emit.take(value, index.ravel(), 1), (batch, frames, length, parts))
    bins = length // 2 + 1 if node.attributes.get("onesided", 1) else length
    real, imaginary = _transform(node, cut, length, bins, inverse=False, window=window)
    return emit.concat([emit.unsqueeze(part, 3) for part in (real, imaginary)], 3)


def reverse_sequence(node: Node) -> Any:
    """The first elements of each sequence, as many as its length, in reverse."""
    from tvm import te, tirx

    time = int(node.attributes.get("time_axis", 0))
    batch = int(node.attributes.get("batch_axis", 1))
    shape = shape_of(node.inputs[0])
    size = tirx.const(shape[time], "int64")
    if shape_of(node.inputs[1]) != (shape[batch],):
        raise node.refusal(f"{shape_of(node.inputs[1])} lengths for {shape[batch]} sequences")

    def compute(data: Any, lengths: Any) -> Any:
        def element(*indices: Any) -> Any:
            # A length beyond the end would have it read there.
            count = tirx.min(lengths[indices[batch]].astype("int64"), size)
            at = indices[time].astype("int64")
            index = list(indices)
            index[time] = tirx.Select(at < count, count - 1 - at, at)
            return data[tuple(index)]

        return te.compute(data.shape, element, name="reverse_sequence")

    return node.emit.te(compute, node.inputs[0], node.inputs[1])


def mel_weight_matrix(node: Node) -> Any:
    """Constant parameters are folded before this is asked."""
    raise node.refusal("its parameters are not constant", "bind the inputs that they come from")


SIGNAL: dict[str, Converter] = {
    "DFT": dft,
    "STFT": stft,
    "ReverseSequence": reverse_sequence,
    "MelWeightMatrix": mel_weight_matrix,
}
