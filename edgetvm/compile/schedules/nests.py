"""Loops that a rule writes itself: vectors and what is left over, on one core or all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.blocks import uses
from edgetvm.compile.schedules.stages import Axis, Stage, loads_of, rewritten

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

# Shares of the work for each core: where one core is late, another takes its last.
_SHARES = 4


@dataclass(frozen=True)
class Piece:
    """Part of a loop: `count` vectors of `width` elements, from `start` on."""

    start: int
    count: int
    width: int


@dataclass(frozen=True)
class Shape:
    """The shape of a nest.

    Attributes:
        lanes: of a vector.
        vectors: side by side in the innermost loop.
        cores: to share the work among.
    """

    lanes: int
    vectors: int
    cores: int


def pieces(extent: int, lanes: int) -> list[Piece]:
    """A loop as vectors of so many lanes, then ever shorter ones: 27 is 16 + 8 + 2 + 1.

    LLVM takes vectors apart whose length is not a power of two.
    """
    found, start, width = [], 0, lanes
    while start < extent:
        count = (extent - start) // width
        if count:
            found.append(Piece(start, count, width))
            start += count * width
        width //= 2
    return found


def integer(value: int) -> Any:
    """An index; those of kernels are 64 bits wide."""
    from tvm import tirx

    return tirx.IntImm("int64", value)


def serial(extent: int) -> Any:
    """A loop's frame; its variable is what `with` gives."""
    from tvm.script.ir_builder import tirx as builder

    return builder.serial(integer(0), integer(extent))


def unrolled(extent: int) -> Any:
    """As `serial`, all of it written out."""
    from tvm.script.ir_builder import tirx as builder

    return builder.unroll(integer(0), integer(extent))


def between(start: Any, stop: Any, most: int) -> Any:
    """As `serial`, from one index to another, or to the most."""
    from tvm import tirx
    from tvm.script.ir_builder import tirx as builder

    return builder.serial(start, tirx.min(stop, integer(most)))


def vectorized(extent: int) -> Any:
    """As `serial`, as one vector."""
    from tvm.script.ir_builder import tirx as builder

    return builder.vectorized(integer(0), integer(extent))


def parallel(extent: int) -> Any:
    """As `serial`, on all cores."""
    from tvm.script.ir_builder import tirx as builder

    return builder.parallel(integer(0), integer(extent))


def allocate(size: int, dtype: str, scope: str) -> Any:
    """A buffer that lives in the loop that is being written.

    Args:
        size: its elements.
        dtype: theirs.
        scope: `local` for registers, `global` for memory.
    """
    from tvm.script.ir_builder import tirx as builder

    return builder.alloc_buffer([integer(size)], dtype, scope=scope, layout=None)


def each(piece: Piece, write: Callable[[Any], None]) -> None:
    """Loops over a piece; `write` is given the element's index."""
    each_on(1, piece, write)


def vector(width: int, write: Callable[[Any], None]) -> None:
    """One vector; `write` is given the lane."""
    if width == 1:
        write(integer(0))
        return
    with vectorized(width) as lane:
        write(lane)


@contextmanager
def loops_over(axes: Sequence[Axis], cores: int) -> Iterator[list[Axis]]:
    """Loops over axes, the first of them on all cores; gives an index for each axis.

    Only as many axes are made one as the cores need: finding an axis in a joint index takes longer
    than a short row.
    """
    with ExitStack() as frames:
        joint = 0
        if cores > 1:
            while joint < len(axes) and count(axes[:joint]) < _SHARES * cores:
                joint += 1
        found: list[Axis] = []
        if joint:
            number = frames.enter_context(parallel(count(axes[:joint])))
            indices = decomposed(number, axes[:joint])
            found += [Axis(indices[axis.variable], axis.extent) for axis in axes[:joint]]
        for axis in axes[joint:]:
            found.append(Axis(frames.enter_context(serial(axis.extent)), axis.extent))
        yield found


def count(axes: Sequence[Axis]) -> int:
    """How many indices the axes have together."""
    return math.prod(axis.extent for axis in axes)


def each_on(cores: int, piece: Piece, write: Callable[[Any], None]) -> None:
    """As `each`, on several cores."""
    each_start_on(cores, piece, lambda start: vector(piece.width, lambda lane: write(start + lane)))


def each_start_on(cores: int, piece: Piece, write: Callable[[Any], None]) -> None:
    """Loops over a piece, on several cores; `write` is given the index of a vector's first."""
    if cores == 1 or piece.count < _SHARES * cores:
        if piece.count == 1:
            write(integer(piece.start))
            return
        with serial(piece.count) as block:
            write(block * piece.width + piece.start)
        return
    share = -(-piece.count // (_SHARES * cores))
    with parallel(-(-piece.count // share)) as number:
        first = number * share
        with between(first, first + share, piece.count) as block:
            write(block * piece.width + piece.start)


@contextmanager
def when(condition: Any | None) -> Iterator[None]:
    """What is written within is done under a condition; None for always."""
    from tvm.script.ir_builder import tirx as builder

    if condition is None:
        yield
        return
    with builder.If(condition), builder.Then():
        yield


def vector_from(start: Any, width: int, write: Callable[[Any], None]) -> None:
    """One vector; `write` is given the element's index, which begins at `start`."""
    vector(width, lambda lane: write(start + lane))


def flattened(axes: Sequence[Axis]) -> Any:
    """The index of all axes as one; an axis' variable may be any index."""
    flat: Any = integer(0)
    for axis in axes:
        flat = flat * integer(axis.extent) + axis.variable
    return flat


def decomposed(flat: Any, axes: Sequence[Axis]) -> dict[Any, Any]:
    """For each axis its index, from that of all axes flattened."""
    indices: dict[Any, Any] = {}
    inner = 1
    for position in range(len(axes) - 1, -1, -1):
        axis = axes[position]
        index = flat // integer(inner) if inner > 1 else flat
        indices[axis.variable] = index % integer(axis.extent) if position else index
        inner *= axis.extent
    return indices


def analyzer_of(axes: Iterable[Axis]) -> Any:
    """What knows how far these axes go, and simplifies with it."""
    from tvm import ir, sym

    analyzer = sym.Analyzer()
    for axis in axes:
        analyzer.bind(axis.variable, ir.Range(integer(0), integer(axis.extent)))
    return analyzer


def linear(expression: Any, axes: Iterable[Axis], memory: Mapping[Any, Any]) -> Any:
    """An expression whose loads have but one index: how many elements after the tensor's first.

    TVM leaves `i // 64 * 64 + i % 64` in a vector's index as it is; here the sum is still simple.

    Args:
        expression: with loads.
        axes: how far its variables go.
        memory: for a tensor the one that stands for it.
    """
    analyzer = analyzer_of(axes)

    def load_linear(one: Any) -> Any:
        return load_at(memory.get(one.source, one.source), analyzer.simplify(offset_of(one)))

    return rewritten(expression, {}, load_linear)


def stride(expressions: Sequence[Any], axis: Axis) -> int | None:
    """How loads move through memory while an axis goes on by one.

    Args:
        expressions: whose loads `linear` made.
        axis: the one that goes on.

    Returns:
        0 where none moves, 1 where some go on to the next element and others stay; None where any
        goes another way, or a number is computed from the axis by a division.
    """
    if any(_divides(expression, axis.variable) for expression in expressions):
        return None
    result = 0
    for one in (found for expression in expressions for found in loads_of(expression)):
        factors = factors_of(one, [axis.variable])
        if factors is None or factors[0] not in (0, 1):
            return None
        result = max(result, factors[0])
    return result


def _divides(expression: Any, variable: Any) -> bool:
    import tvm_ffi
    from tvm import tirx

    found: list[Any] = []
    kinds = (tirx.FloorDiv, tirx.FloorMod)
    tvm_ffi.structural_walk(expression, (kinds, found.append), order="pre")
    return any(uses(one, variable) for one in found)


def offset_of(one: Any) -> Any:
    """Where a load reads, counted in elements from the tensor's first."""
    return offset(one.source, one.indices)


def offset(buffer: Any, indices: Sequence[Any]) -> Any:
    """Where an element is, counted from the tensor's first."""
    total: Any = integer(0)
    if len(buffer.ty.strides):  # part of a larger tensor
        for index, step in zip(indices, buffer.ty.strides, strict=True):
            total = total + index * integer(int(step))
        return total
    for index, size in zip(indices, buffer.ty.shape, strict=True):
        total = total * size + index
    return total


def place(buffer: Any, stage: Stage) -> Any:
    """Where in a buffer a stage's element belongs: the buffer has the stage's axes."""
    return offset(buffer, [axis.variable for axis in stage.spatial])


def load_at(buffer: Any, at: Any) -> Any:
    """An element by its offset. Only the last index says it: it may go beyond that axis."""
    from tvm import tirx

    return tirx.BufferLoad(buffer, _indices_at(buffer, at))


def store_at(buffer: Any, value: Any, at: Any) -> None:
    """As `load_at`."""
    from tvm.script.ir_builder import tirx as builder

    builder.buffer_store(buffer, value, _indices_at(buffer, at))


def vector_at(buffer: Any, start: Any, lanes: int) -> Any:
    """A vector of elements that lie one behind the other."""
    from tvm import tirx

    return load_at(buffer, tirx.Ramp(start, integer(1), lanes))


def store_vector(buffer: Any, value: Any, start: Any, lanes: int) -> None:
    """As `vector_at`."""
    from tvm import tirx

    store_at(buffer, value, tirx.Ramp(start, integer(1), lanes))


def bound(value: Any) -> Any:
    """A variable that holds a value from here on."""
    from tvm.script.ir_builder import tirx as builder

    return builder.bind(value)


def factors_of(one: Any, variables: Sequence[Any]) -> list[int] | None:
    """How far a load, made `linear`, moves for each variable, or None where that changes."""
    if not len(one.indices):
        return [0] * len(variables)
    return linear_factors(one.indices[-1], variables)


def linear_factors(index: Any, variables: Sequence[Any]) -> list[int] | None:
    """By how much an index grows with each variable, or None where that changes."""
    from tvm import sym

    parts = sym.detect_linear_equation(index, list(variables))
    if not len(parts) or not all(is_constant(part) for part in parts[:-1]):
        return None
    return [int(part) for part in parts[:-1]]


def _indices_at(buffer: Any, at: Any) -> list[Any]:
    rank = len(buffer.ty.shape)
    return [*[integer(0)] * (rank - 1), at] if rank else []


def is_constant(index: Any) -> bool:
    """Whether an index is a number."""
    from tvm import tirx

    return isinstance(index, tirx.IntImm)


def kernel(function: PrimFunc, write: Callable[[], None]) -> PrimFunc:
    """The kernel with another body.

    Args:
        function: the kernel.
        write: writes the body with what this module has.
    """
    from tvm import s_tir, tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as builder

    with IRBuilder() as made, builder.seq_scope():
        write()
    # The builder wants a scope around everything, and leaves it in the program.
    root = s_tir.SBlock([], [], [], "root", made.get().body)
    return function.with_body(s_tir.SBlockRealize([], tirx.const(True, "bool"), root))
