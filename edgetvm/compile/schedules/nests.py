"""Loops that a rule writes itself: vectors with what is left over, partial sums, rows in parallel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.stages import Axis, loads_of

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


def allocate(shape: Sequence[int], dtype: str, scope: str) -> Any:
    """A buffer that lives in the loop that is being written.

    Args:
        shape: its sizes.
        dtype: its elements'.
        scope: `local` for registers, `global` for memory.
    """
    from tvm.script.ir_builder import tirx as builder

    return builder.alloc_buffer([integer(size) for size in shape], dtype, scope=scope, layout=None)


def store(buffer: Any, value: Any, indices: Sequence[Any]) -> None:
    """buffer[indices] = value."""
    from tvm.script.ir_builder import tirx as builder

    builder.buffer_store(buffer, value, list(indices))


def load(buffer: Any, indices: Sequence[Any]) -> Any:
    """buffer[indices]."""
    from tvm import tirx

    return tirx.BufferLoad(buffer, list(indices))


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
            while joint < len(axes) and _count(axes[:joint]) < _SHARES * cores:
                joint += 1
        found: list[Axis] = []
        if joint:
            number = frames.enter_context(parallel(_count(axes[:joint])))
            indices = decomposed(number, axes[:joint])
            found += [Axis(indices[axis.variable], axis.extent) for axis in axes[:joint]]
        for axis in axes[joint:]:
            found.append(Axis(frames.enter_context(serial(axis.extent)), axis.extent))
        yield found


def _count(axes: Sequence[Axis]) -> int:
    return math.prod(axis.extent for axis in axes)


def each_on(cores: int, piece: Piece, write: Callable[[Any], None]) -> None:
    """As `each`, on several cores."""
    each_start_on(
        cores, piece, lambda start: vector(piece.width, lambda lane: write(start + lane))
    )


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


def stride(expressions: Iterable[Any], axis: Axis, others: Iterable[Axis]) -> int | None:
    """How the loads of expressions move through memory while an axis goes on by one.

    Args:
        expressions: with loads.
        axis: the one that goes on.
        others: further axes in them.

    Returns:
        0 where none moves, 1 where some go on to the next element and others stay; None where any
        goes another way.
    """
    from tvm import sym

    analyzer = analyzer_of([axis, *others])
    result = 0
    for one in (found for expression in expressions for found in loads_of(expression)):
        parts = sym.detect_linear_equation(analyzer.simplify(offset_of(one)), [axis.variable])
        if not len(parts) or not is_constant(parts[0]) or int(parts[0]) not in (0, 1):
            return None
        result = max(result, int(parts[0]))
    return result


def offset_of(one: Any) -> Any:
    """Where a load reads, counted in elements from the tensor's first."""
    offset: Any = integer(0)
    for index, size in zip(one.indices, one.source.ty.shape, strict=True):
        offset = offset * size + index
    return offset


def is_constant(index: Any) -> bool:
    """Whether an index is a number."""
    from tvm import tirx

    return isinstance(index, tirx.IntImm)


def kernel(function: PrimFunc, buffers: Sequence[Any], write: Callable[[], None]) -> PrimFunc:
    """The kernel with another body.

    Args:
        function: the kernel.
        buffers: what it keeps in memory between its nests.
        write: writes the body with what this module has.
    """
    from tvm import s_tir, tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as builder

    with IRBuilder() as made, builder.seq_scope():
        write()
    # The builder wants a scope around everything, and leaves it in the program.
    body = made.get().body
    root = s_tir.SBlock([], [], [], "root", body, alloc_buffers=list(buffers))
    return function.with_body(s_tir.SBlockRealize([], tirx.const(True, "bool"), root))
