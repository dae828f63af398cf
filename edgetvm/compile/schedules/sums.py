"""The sums of a tile in registers; long ones of float16 in pieces.

Each addition rounds the sum so far, so that errors of float16 grow with the length of a sum until
they are all that is left of its 11 bits. A sum of pieces is rounded as often as one piece is long,
and once more for each piece (Higham, "The Accuracy of Floating Point Summation", 1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.kernels.dots import Dot, intrinsic

# Terms of a piece. To add a piece costs three instructions beside its terms' one each.
_LONGEST_PIECE = 128
_SHORTEST_PIECE = 16


@dataclass(frozen=True)
class Pieces:
    """Sums of pieces, a block of their own.

    Attributes:
        block: of which each piece is an element.
        loop: over the pieces, in the block that adds them up.
        steps: whether its innermost loop is that of elements that are loaded together.
    """

    block: Any
    loop: Any
    steps: bool


def in_pieces(schedule: Any, block: Any, reduction: list[Any], together: int) -> Pieces | None:
    """Cut a block's sums into pieces; None where they are short.

    Args:
        schedule: of the kernel.
        block: whose sums they are, untouched so far.
        reduction: its loops over the terms.
        together: neighbouring terms that are loaded together.
    """
    cut, terms = _cut([int(schedule.get(loop).extent) for loop in reduction], together)
    if terms == 1:
        return None
    outer, inner = reduction[:cut], reduction[cut + 1 :]
    rest, loop = schedule.split(reduction[cut], [None, terms], preserve_unit_iters=True)
    outer, inner = [*outer, rest], [loop, *inner]
    if together > 1:
        inner[-1:] = schedule.split(inner[-1], [None, together], preserve_unit_iters=True)
    over = schedule.fuse(*outer) if len(outer) > 1 else outer[0]
    made = schedule.rfactor(over, 0)
    return Pieces(made, schedule.get_loops(block)[-1], together > 1)


def _cut(extents: Sequence[int], together: int) -> tuple[int, int]:
    """Which loop is split, and how many of its steps belong to one piece; 0 and 1 for none.

    Args:
        extents: of the loops, the innermost last.
        together: of which a piece holds a multiple.
    """
    terms = 1
    for at in reversed(range(len(extents))):
        multiple = together if at == len(extents) - 1 else 1
        steps = _divisor(extents[at], _LONGEST_PIECE // terms, multiple)
        terms *= steps
        if steps < extents[at] and terms >= _SHORTEST_PIECE:
            return at, steps
    return 0, 1


def _divisor(extent: int, most: int, multiple: int) -> int:
    """The largest divisor up to a bound that is a multiple; 1 without one."""
    fitting = range(multiple, min(extent, most) + 1, multiple)
    return max((one for one in fitting if extent % one == 0), default=1)


def sum_pieces(
    schedule: Any, pieces: Pieces, rank: int, points: Sequence[int], lanes: int, read: int | None
) -> None:
    """Sum one piece of a whole tile at a time, where its sum is added.

    Args:
        schedule: of the kernel; the loop over the pieces lies within the loops over tiles.
        pieces: of `in_pieces`.
        rank: of the sums.
        points: positions of the axes whose points a tile holds.
        lanes: of a vector.
        read: see `sum_in_registers`.
    """
    schedule.set_scope(pieces.block, 0, "local")
    schedule.compute_at(pieces.block, pieces.loop, preserve_unit_loops=True)
    loops = schedule.get_loops(pieces.block)[-len(schedule.get(pieces.block).iter_vars) :]
    # First the piece, then the axes of its sums.
    tile, reduction = loops[1 : rank + 1], loops[rank + 1 :]
    vectors, vector = schedule.split(tile[-1], [None, lanes], preserve_unit_iters=True)
    inner = [*(tile[axis] for axis in points), vectors, vector]
    schedule.reorder(*reduction, *inner)
    steps = [reduction.pop()] if pieces.steps else []
    sum_in_registers(schedule, pieces.block, reduction, steps, inner, read)


def sum_in_registers(
    schedule: Any,
    block: Any,
    reduction: list[Any],
    steps: list[Any],
    inner: list[Any],
    read: int | None,
    dot: Dot | None = None,
    together: int = 1,
    between: int = 0,
) -> None:
    """Unroll and vectorise a block's sums of one tile; they begin with zeros ahead of the terms.

    Args:
        schedule: of the kernel.
        block: whose sums they are.
        reduction: its loops over the terms, the outermost first.
        steps: the loop over elements that are loaded together, if any.
        inner: the loops over the tile, the innermost over the lanes of a vector; the one before it
            over points, where the instruction takes several.
        read: which of the block's operands is loaded together.
        dot: the instruction that sums, where LLVM is not left to find one.
        together: steps that the instruction takes at once.
        between: elements from the data of a point to the next one's that it takes.
    """
    in_parts = dot is not None and dot.parts > 1
    if in_parts:
        inner = [*inner[:-1], *schedule.split(inner[-1], [None, 2], preserve_unit_iters=True)]
    taken = 2 if dot is not None and dot.points > 1 else 1
    # Marked before the reduction is split: afterwards its block is no longer complete.
    for loop in [*steps, *inner[:-taken]]:
        schedule.unroll(loop)
    if steps:
        _load_together(schedule, block, read, reduction[-1])
    if dot is None:
        schedule.vectorize(inner[-1])
    start = schedule.decompose_reduction(block, reduction[0])
    if dot is not None:
        schedule.tensorize(inner[-taken], intrinsic(dot.name, together, between))
    *zeros, vector = schedule.get_loops(start)[-len(inner) - in_parts :]
    for loop in zeros:
        schedule.unroll(loop)
    schedule.vectorize(vector)


def _load_together(schedule: Any, block: Any, read: int | None, at: Any) -> None:
    """Bring the elements of all steps below a loop into registers, a vector for each point."""
    copy = schedule.cache_read(block, read, "local")
    schedule.compute_at(copy, at, preserve_unit_loops=True)
    *points, elements = schedule.get_loops(copy)[-len(schedule.get(copy).iter_vars) :]
    for loop in points:
        schedule.unroll(loop)
    schedule.vectorize(elements)
