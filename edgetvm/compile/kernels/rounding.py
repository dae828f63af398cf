"""Rounding to 8 bits in one kernel: what it is made of is read as integers, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settling:
    """How a float of the output's scale becomes an integer.

    Attributes:
        zero_point: added after rounding.
        low, high: within which the sum is clipped.
        dtype: of the result.
    """

    zero_point: int
    low: int
    high: int
    dtype: str

    def settled(self, scaled: Any) -> Any:
        """The integer."""
        from tvm import te, tirx

        value = te.round(scaled)
        if self.zero_point:
            value = value + _real(self.zero_point)
        value = te.max(value, _real(self.low))
        value = te.min(value, _real(self.high))
        return tirx.Cast(self.dtype, value)


def _real(value: float) -> Any:
    from tvm import tirx

    return tirx.const(float(value), "float32")


def rounded_sums(sums: Any, bias: Any, factor: Any, offset: Any, settling: Settling) -> Any:
    """(sums + bias) * factor + offset, rounded.

    Args:
        sums: of 32 bits.
        bias: int32, or None; factor and offset (or None): float32. They broadcast with the sums.
        settling: see there.
    """
    from tvm import te

    def element(*index: Any) -> Any:
        value = sums[index]
        if bias is not None:
            value = value + _at(bias, index, sums.shape)
        scaled = value.astype("float32") * _at(factor, index, sums.shape)
        if offset is not None:
            scaled = scaled + _at(offset, index, sums.shape)
        return settling.settled(scaled)

    return te.compute(sums.shape, element, name="rounded")


def rounded_terms(
    terms: Sequence[Any],
    ratios: Sequence[float],
    rest: Any,
    shape: Sequence[int],
    settling: Settling,
) -> Any:
    """The sum of 8-bit tensors, each times a ratio, and of a constant, rounded.

    Args:
        terms: broadcast to the shape.
        ratios: one for each term.
        rest: a number, or a tensor that broadcasts to the shape.
        shape: of the result.
        settling: see there.
    """
    from tvm import te

    def element(*index: Any) -> Any:
        value = _real(rest) if isinstance(rest, float) else _at(rest, index, shape)
        for term, ratio in zip(terms, ratios, strict=True):
            value = _at(term, index, shape).astype("float32") * _real(ratio) + value
        return settling.settled(value)

    return te.compute(shape, element, name="rounded")


def rounded_product(
    left: Any,
    right: Any,
    zeros: tuple[int, int],
    factor: float,
    shape: Sequence[int],
    settling: Settling,
) -> Any:
    """The product of two 8-bit tensors less their zero points, times a factor, rounded."""
    from tvm import te

    def centred(tensor: Any, index: Sequence[Any], zero: int) -> Any:
        value = _at(tensor, index, shape).astype("float32")
        return value - _real(zero) if zero else value

    def element(*index: Any) -> Any:
        product = centred(left, index, zeros[0]) * centred(right, index, zeros[1])
        return settling.settled(product * _real(factor))

    return te.compute(shape, element, name="rounded")


def _at(tensor: Any, index: Sequence[Any], whole: Sequence[Any]) -> Any:
    """An element of a tensor that is repeated along axes of extent 1 and those that it lacks."""
    shape = [int(size) for size in tensor.shape]
    first = len(whole) - len(shape)
    own = zip(index[first:], whole[first:], shape, strict=True)
    # TVM sees that elements are read in place only where the index is the loop's own.
    return tensor[tuple(0 if size != int(extent) else at for at, extent, size in own)]
