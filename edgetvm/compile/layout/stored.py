"""A tensor as it lies in memory: its elements in another order than the model says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Order = tuple[int, ...]


def identity(rank: int) -> Order:
    """The order that changes nothing."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """From [batch, channels, ...] to [batch, ..., channels]."""
    return (0, *range(2, rank), 1)


@dataclass(frozen=True)
class Stored:
    """A tensor that is kept permuted, or in blocks of channels.

    Attributes:
        expr: the Relax expression that holds it.
        order: its axis `i` is the model's axis `order[i]`.
        block: elements of the axis in place 1, the channels', that lie together on one more axis
            behind all others, so that place 1 counts blocks: [batch, channels / block, height,
            width, block]. 0 where no axis is split.
    """

    expr: Any
    order: Order
    block: int = 0

    @property
    def rank(self) -> int:
        """Number of the model's axes."""
        return len(self.order)

    @property
    def moved(self) -> bool:
        """Whether its elements lie in another order than the model's."""
        return self.block > 0 or self.order != identity(self.rank)

    def position(self, axis: int) -> int:
        """Where the model's axis (negative counts from the end) lies in memory."""
        return self.order.index(axis % self.rank)


def shape_of(expr: Any) -> tuple[int, ...] | None:
    """An expression's extents, or None where they are not all known."""
    shape = getattr(expr.ty, "shape", None)
    if shape is None:
        return None
    sizes = []
    for size in shape:
        try:
            sizes.append(int(size))
        except TypeError:
            return None
    return tuple(sizes)


def is_constant(expr: Any) -> bool:
    """Whether the expression is a tensor with known elements."""
    from tvm.ir.expr import GenericConst

    return isinstance(expr, GenericConst)


def constant(array: Any) -> Any:
    """An array as a Relax constant."""
    from tvm import relax

    array = np.asarray(array)
    return relax.const(np.ascontiguousarray(array).reshape(array.shape), array.dtype.name)


def permuted(expr: Any, axes: Sequence[int], emit: Callable[[Any], Any]) -> Any:
    """The expression with its axes in another order; a view where only extents of 1 move."""
    from tvm import relax

    axes = tuple(axes)
    if axes == identity(len(axes)):
        return expr
    if is_constant(expr):
        return constant(expr.value.numpy().transpose(axes))
    shape = shape_of(expr)
    if shape is not None:
        longer = [axis for axis in axes if shape[axis] != 1]
        if longer == sorted(longer):
            return emit(relax.op.reshape(expr, [shape[axis] for axis in axes]))
    return emit(relax.op.permute_dims(expr, list(axes)))


def reshaped(expr: Any, shape: Sequence[int], emit: Callable[[Any], Any]) -> Any:
    """The expression's elements under another shape."""
    from tvm import relax

    if is_constant(expr):
        return constant(expr.value.numpy().reshape(shape))
    return emit(relax.op.reshape(expr, list(shape)))


def rearranged(operand: Stored, order: Order, block: int, emit: Callable[[Any], Any]) -> Any:
    """The operand's elements as `Stored` of that order and block has them.

    Blocks are told from the rest by views; elements move once. An axis of one element, which is
    broadcast to channels, gets blocks of one.
    """
    if not (block or operand.block):
        return permuted(operand.expr, [operand.order.index(axis) for axis in order], emit)
    if block and operand.block and order[1] != operand.order[1]:
        plain = identity(operand.rank)
        operand = Stored(rearranged(operand, plain, 0, emit), plain)
    channel = (order if block else operand.order)[1]
    expr = operand.expr
    if not operand.block:
        expr = _split(expr, operand.order.index(channel), block, emit)
    source = _parts(operand.order, operand.block, channel)
    expr = permuted(expr, [source.index(part) for part in _parts(order, block, channel)], emit)
    return expr if block else _joined(expr, order.index(channel), emit)


def _parts(order: Order, block: int, channel: int) -> list[tuple[int, bool]]:
    """The axes in memory: each one's axis of the model, and whether it counts within blocks."""
    if block:
        return [*((axis, False) for axis in order), (channel, True)]
    inner = {channel: [(channel, True)]}
    return [part for axis in order for part in ((axis, False), *inner.get(axis, []))]


def _split(expr: Any, at: int, block: int, emit: Callable[[Any], Any]) -> Any:
    shape = shape_of(expr) or ()
    inner = min(block, shape[at])
    return reshaped(expr, [*shape[:at], shape[at] // inner, inner, *shape[at + 1 :]], emit)


def _joined(expr: Any, at: int, emit: Callable[[Any], Any]) -> Any:
    shape = shape_of(expr) or ()
    return reshaped(expr, [*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]], emit)


def reshaped_order(
    shape: tuple[int, ...], order: Order, target: tuple[int, ...]
) -> tuple[tuple[int, ...], Order] | None:
    """How a reshape is done on a permuted tensor without moving an element.

    A reshape splits and joins neighbouring axes. Where the axes that are joined lie behind one
    another in memory too, it needs no other order first.

    Args:
        shape: of the model's tensor.
        order: in which it is stored.
        target: the model's shape afterwards.

    Returns:
        the shape in memory afterwards and its order, or None where elements must move.
    """
    long = [axis for axis, size in enumerate(shape) if size != 1]
    made = [axis for axis, size in enumerate(target) if size != 1]
    groups = _groups([shape[axis] for axis in long], [target[axis] for axis in made])
    if groups is None:
        return None
    group_of = {long[axis]: index for index, (source, _) in enumerate(groups) for axis in source}
    waiting = [axis for axis in order if axis in group_of]
    result: list[int] = []
    while waiting:
        source, parts = groups[group_of[waiting[0]]]
        run, waiting = waiting[: len(source)], waiting[len(source) :]
        if run != [long[axis] for axis in source]:
            return None
        result += [made[axis] for axis in parts]
    whole = _with_units(result, target)
    return tuple(target[axis] for axis in whole), whole


def nearest_order(shape: tuple[int, ...], order: Order, target: tuple[int, ...]) -> Order | None:
    """The order nearest to the given one from which the reshape is free; None if there is none."""
    long = [axis for axis, size in enumerate(shape) if size != 1]
    groups = _groups([shape[axis] for axis in long], [size for size in target if size != 1])
    if groups is None:
        return None
    first = [[long[at] for at in source] for source, _ in groups]
    moved = sorted(first, key=lambda axes: min(order.index(axis) for axis in axes))
    units = [axis for axis, size in enumerate(shape) if size == 1]
    return (*units, *[axis for axes in moved for axis in axes])


def _with_units(order: list[int], target: tuple[int, ...]) -> Order:
    """The order with the axes of extent 1 put in, where a usual order allows it."""
    rank = len(target)
    for usual in (identity(rank), channels_last(rank) if rank > 2 else identity(rank)):
        if [axis for axis in usual if target[axis] != 1] == order:
            return usual
    return (*[axis for axis in range(rank) if target[axis] == 1], *order)


def _groups(shape: list[int], target: list[int]) -> list[tuple[list[int], list[int]]] | None:
    """The smallest runs of axes on both sides that have the same number of elements."""
    groups: list[tuple[list[int], list[int]]] = []
    left = right = 0
    while left < len(shape) and right < len(target):
        source, made = [left], [right]
        here, there = shape[left], target[right]
        left, right = left + 1, right + 1
        while here != there:
            if here < there and left < len(shape):
                source.append(left)
                here *= shape[left]
                left += 1
            elif here > there and right < len(target):
                made.append(right)
                there *= target[right]
                right += 1
            else:
                return None
        groups.append((source, made))
    return groups if left == len(shape) and right == len(target) else None
