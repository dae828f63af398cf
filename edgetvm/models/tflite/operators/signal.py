"""Fourier transforms: the complex numbers that they give go no further than the next operator."""

from __future__ import annotations

import numpy as np

from edgetvm.models.tflite.emitter import Complex, Value, shape_of
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule


@rule("RFFT2D", quantised=itself)
def rfft_2d(node: Node) -> Value:
    """Over the last two axes, as products with the matrices of sines and cosines."""
    emit = node.emit
    height, width = node.integers(1, "a length", 2)
    value = node.value(0)
    rank = len(shape_of(value))
    for axis, size in ((rank - 2, height), (rank - 1, width)):
        have = shape_of(value)[axis]
        value = emit.slice(value, axis, 0, min(size, have))
        gap = [(0, 0)] * axis + [(0, size - min(size, have))] + [(0, 0)] * (rank - 1 - axis)
        value = emit.pad(value, gap, 0)
    emit.budget.constant((width, 2 * (width // 2 + 1)), "float64")
    bins = np.outer(np.arange(width), np.arange(width // 2 + 1)) % width * (2 * np.pi / width)
    real = emit.matmul(value, np.cos(bins).astype(np.float32), "float32")
    imaginary = emit.matmul(value, (-np.sin(bins)).astype(np.float32), "float32")
    if height == 1:
        return Complex(real, imaginary)
    emit.budget.constant((height, 2 * height), "float64")
    rows = np.outer(np.arange(height), np.arange(height)) % height * (2 * np.pi / height)
    cosine, sine = np.cos(rows).astype(np.float32), np.sin(rows).astype(np.float32)

    def turned(matrix: np.ndarray, part: Value) -> Value:
        return emit.matmul(matrix, part, "float32")

    return Complex(
        emit("add", turned(cosine, real), turned(sine, imaginary)),
        emit("subtract", turned(cosine, imaginary), turned(sine, real)),
    )


def _parts(node: Node) -> Complex:
    value = node.value(0)
    if not isinstance(value, Complex):
        raise Refusal("of what no transform gave")
    return value


@rule("REAL", quantised=itself, complex_too=True)
def real(node: Node) -> Value:
    """The real part."""
    return _parts(node).real


@rule("IMAG", quantised=itself, complex_too=True)
def imag(node: Node) -> Value:
    """The imaginary part."""
    return _parts(node).imaginary


@rule("COMPLEX_ABS", quantised=itself, complex_too=True)
def complex_abs(node: Node) -> Value:
    """The length of each complex number."""
    emit, value = node.emit, _parts(node)
    squares = [emit("multiply", part, part) for part in (value.real, value.imaginary)]
    return emit("sqrt", emit("add", *squares))
