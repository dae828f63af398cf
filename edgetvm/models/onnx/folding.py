"""Nodes whose inputs are all constant are computed at import, with the onnx package's evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError

if TYPE_CHECKING:
    import onnx

# Slow in the evaluator, random, or with a graph inside, which the walk itself folds.
_NOT_FOLDED = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "ConvInteger",
        "QLinearConv",
        "DeformConv",
        "LSTM",
        "GRU",
        "RNN",
        "Loop",
        "Scan",
        "If",
        "SequenceMap",
        "MaxPool",
        "AveragePool",
        "LpPool",
        "Resize",
        "Upsample",
        "GridSample",
        "Attention",
        "Bernoulli",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Multinomial",
        "NonMaxSuppression",
        "ImageDecoder",
        "Dropout",
        "Constant",
        "STFT",
        "FlexAttention",
        "LinearAttention",
    ]
)
_MOST_ELEMENTS = 1 << 24
# Element by element: a row and a column of some kilobytes make gigabytes.
_BROADCAST = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Mod",
        "Max",
        "Min",
        "Sum",
        "Mean",
        "PRelu",
        "Where",
        "Equal",
        "Less",
        "LessOrEqual",
        "Greater",
        "GreaterOrEqual",
        "And",
        "Or",
        "Xor",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
    ]
)
# A converter may leave more to the board, but not what no board can hold.
_MOST_MADE = 1 << 28


def evaluate(
    node: onnx.NodeProto, opset: int, arrays: Sequence[NDArray[Any] | None]
) -> list[NDArray[Any]] | None:
    """The outputs of a node on constants, or None where the walk has to convert it.

    Args:
        node: without graphs in it.
        opset: of the operator's domain.
        arrays: one for each input; None for one that is left out.

    Raises:
        ModelUnreadableError: a tensor would be larger than any board.
    """
    if node.op_type in _NOT_FOLDED or node.domain not in ("", "ai.onnx"):
        return None
    size = _result_size(node, arrays)
    if _MOST_MADE < size < math.inf:
        raise ModelUnreadableError(
            f"{node.op_type} making {''.join(node.output)!r}: a tensor of {size:.1e} elements",
            mend="fix smaller shapes, or bind what decides its size",
        )
    if size + sum(array.size for array in arrays if array is not None) > _MOST_ELEMENTS:
        return None
    from onnx.reference import ReferenceEvaluator

    feeds = {
        name: array for name, array in zip(node.input, arrays, strict=True) if array is not None
    }
    try:
        with np.errstate(all="ignore"):
            results: Any = ReferenceEvaluator(node, opsets={"": opset}).run(None, feeds)
    except Exception:  # the evaluator raises every kind; the converter may know more than it does
        return None
    if not all(isinstance(result, (np.ndarray, np.generic)) for result in results):
        return None
    return [np.asarray(result) for result in results]


def _result_size(node: onnx.NodeProto, arrays: Sequence[NDArray[Any] | None]) -> float:
    """Elements of the result of an operator that can make much out of little; 0 for the others."""
    given = [array for array in arrays if array is not None]
    try:
        if node.op_type in _BROADCAST:
            return math.prod(np.broadcast_shapes(*(array.shape for array in given)))
        if node.op_type == "MatMul":
            return _product_size(*(array.shape for array in given))
        if node.op_type == "Gather":
            axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
            return float(given[0].size / given[0].shape[axis] * given[1].size)
        size = _SIZES.get(node.op_type)
        return size([array.ravel() for array in given]) if size is not None else 0
    except (IndexError, ValueError, OverflowError, ZeroDivisionError):
        return math.inf


def _product_size(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Elements of a matrix product."""
    return math.prod((*np.broadcast_shapes(a[:-2], b[:-2]), *a[-2:-1], *(b[-1:] if b[1:] else ())))


def _first(array: NDArray[Any]) -> float:
    return float(array[0])


_SIZES: dict[str, Callable[[list[NDArray[Any]]], float]] = {
    "ConstantOfShape": lambda given: math.prod(map(float, given[0])),
    "Expand": lambda given: given[0].size * math.prod(map(float, given[1])),
    "Tile": lambda given: given[0].size * math.prod(map(float, given[1])),
    "Range": lambda given: abs((_first(given[1]) - _first(given[0])) / _first(given[2])),
    "Pad": lambda given: given[0].size * math.prod(1 + abs(float(size)) for size in given[1]),
    "OneHot": lambda given: given[0].size * _first(given[1]),
    "HannWindow": lambda given: _first(given[0]),
    "HammingWindow": lambda given: _first(given[0]),
    "BlackmanWindow": lambda given: _first(given[0]),
    "MelWeightMatrix": lambda given: _first(given[0]) * _first(given[1]),
}
