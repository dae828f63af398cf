"""Depthwise convolutions: channels in vectors, some columns of one row at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.depthwise_bytes import WORDS
from edgetvm.compile.schedules.beginnings import begin_with_bias
from edgetvm.compile.schedules.blocks import Block, blocks_of, indices_of_reads, uses
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.epilogue import paddings_of, surround
from edgetvm.compile.schedules.loops import spread
from edgetvm.compile.schedules.nests import linear_factors
from edgetvm.compile.schedules.stretch import Stretch, stretched
from edgetvm.compile.schedules.tile import Tile, covered, power_of_two
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

# A longer row of taps is looped over: unrolled, it costs code and registers.
_MOST_UNROLLED_TAPS = 7
# Beside its multiply-adds and loads, a row of taps takes so many instructions.
_ROW_COST = 5
_MOST_COLUMNS = 16
_LINE_BYTES, _BYTES = 64, 4
# A tile's channels sweep the map, where the rows that they need again are still in the cache; or
# all channels of the pixels come in turn, where they share lines of the cache.
_CHANNELS, _PIXELS = "channels", "pixels"
# A multiply-add here costs about so many of a matrix product's: each loads its operand.
_RELATIVE_COST = 4


def depthwise(function: PrimFunc, profile: BoardProfile, decisions: Decisions) -> Schedule | None:
    """Each output channel sums a window of the same input channel."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    reductions = [block for block in blocks if block.reduction]
    if len(reductions) != 1 or not _slides(reductions[0]):
        return None
    main = reductions[0]
    in_words = WORDS in main.node.annotations
    if not in_words:
        schedule, blocks, main = begin_with_bias(schedule, blocks, main)
    profile = profile.counted_in(main.dtype)
    channels, across = main.spatial[-1], main.spatial[-2]
    row, lanes = _row(main, profile), profile.vector_lanes * (_BYTES if in_words else 1)
    known = channels, across, row, profile, lanes
    tile = decisions.choose("tile", columns_of(*known), choose_columns(*known))
    default = shared_by(main.work * _RELATIVE_COST, profile)
    cores = decisions.choose("cores", (1, profile.cores), default)
    long = len(main.reduction) == 1 and main.reduction[0] > _MOST_UNROLLED_TAPS
    # Bytes are soon copied, and tests between them would part their vectors.
    apart = long or in_words
    border = decisions.choose("border", ("inlined", "staged"), "staged" if apart else "inlined")
    staged = paddings_of(blocks, main) if border == "staged" else []
    around = surround(schedule, blocks, main, staged)
    last = len(main.spatial) - 1
    axes = {
        axis: Stretch(main.spatial[axis], size)
        for axis, size in ((last - 1, tile.columns), (last, tile.width))
        if main.spatial[axis] % size
    }
    if axes:
        name = main.node.name_hint
        schedule = s_tir.Schedule(stretched(schedule.mod["main"], name, around.owner, axes, None))
    for block in blocks_of(schedule) or []:
        if block.node.name_hint in around.apart:
            spread(schedule, block, profile)
    order = decisions.choose(
        "outermost", (_CHANNELS, _PIXELS), _choose_outermost(channels, tile, row)
    )
    _tile(schedule, main, around.owner, tile, cores, order)
    return schedule


def _row(block: Block, profile: BoardProfile) -> Row | None:
    """The innermost row of taps, where its operands lie in registers as they are.

    One that is looped over is seen tap by tap.
    """
    if profile.multiplies_from_memory or block.dtype != "float32":
        return None
    taps = block.reduction[-1] if block.reduction[-1] <= _MOST_UNROLLED_TAPS else 1
    return Row(taps, _stride(block))


def _stride(block: Block) -> int:
    """Elements of the input from one column to the next."""
    column = block.spatial_variables[-2]
    at = [index for indices in indices_of_reads(block) for index in indices if uses(index, column)]
    factors = linear_factors(at[0], [column])
    return factors[0] if factors else 1


def _slides(block: Block) -> bool:
    """Whether all operands run along the last axis, and one of them does not along the columns."""
    if len(block.spatial) < 3:
        return False
    *_, column, channel = block.spatial_variables
    fixed = sliding = False
    for indices in indices_of_reads(block):
        if not indices or not uses(indices[-1], channel):
            return False
        if any(uses(index, channel) for index in indices[:-1]):
            return False
        if any(uses(index, column) for index in indices):
            sliding = True
        else:
            fixed = True
    return fixed and sliding


def _choose_outermost(channels: int, tile: Tile, row: Row | None) -> str:
    if row is None:
        return _CHANNELS
    return _PIXELS if tile.width * _BYTES < min(channels * _BYTES, _LINE_BYTES) else _CHANNELS


@dataclass(frozen=True)
class Row:
    """A row of taps, as a tile of columns sees it.

    Attributes:
        taps: of the row.
        stride: from one column to the next, in elements of the input.
    """

    taps: int
    stride: int

    def operands(self, columns: int) -> int:
        """Elements of the input under so many columns."""
        return min(columns * self.taps, (columns - 1) * self.stride + self.taps)


def choose_columns(
    channels: int, columns: int, row: Row | None, profile: BoardProfile, lanes: int
) -> Tile:
    """The tile that costs least among `columns_of`; arguments as there.

    Where operands lie in registers, each costs an instruction, and a column's neighbours share
    them.
    """

    def cost(tile: Tile) -> tuple[float, int]:
        slowness = max(0.6, profile.slowness(tile.lanes) / profile.slowness(lanes))
        vectors = covered(channels, tile.width) // tile.lanes
        overhead = 1.0 / (tile.vectors * tile.columns)
        if row is not None:
            loads = row.operands(tile.columns) + row.taps + _ROW_COST / tile.vectors
            overhead = loads / (tile.columns * row.taps)
        return vectors * covered(columns, tile.columns) * (slowness + overhead), -tile.columns

    return min(columns_of(channels, columns, row, profile, lanes), key=cost)


def columns_of(
    channels: int, columns: int, row: Row | None, profile: BoardProfile, lanes: int
) -> list[Tile]:
    """The tiles whose sums, and one row's operands, stay in registers.

    Args:
        channels, columns: extents of the output.
        row: of taps, where its operands lie in registers as they are.
        profile: of the board.
        lanes: of the widest vector.
    """
    full = min(lanes, power_of_two(channels))
    return [
        Tile(wide, vectors, 1, across)
        for wide in sorted({full, max(1, full // 2)})
        for vectors in (1, 2, 3, 4)
        for across in range(1, min(columns, _MOST_COLUMNS) + 1)
        if wide * vectors <= channels
        and _fits(max(1, wide // profile.vector_lanes) * vectors, across, row, profile)
    ]


def _fits(vectors: int, columns: int, row: Row | None, profile: BoardProfile) -> bool:
    if row is None:
        # Beyond this LLVM keeps so many operands of the window that it spills; on AVX-512.
        return columns <= 8 and vectors * columns <= max(1, profile.vector_registers * 3 // 8)
    return vectors * (columns + row.operands(columns) + 1) <= profile.vector_registers


def _tile(schedule: Any, main: Block, owner: str, tile: Tile, cores: int, order: str) -> None:
    result, store = schedule.get_sblock(main.node.name_hint), schedule.get_sblock(owner)
    loops = schedule.get_loops(result)
    rank = len(main.spatial)
    spatial, taps = loops[:rank], loops[rank:]
    columns, column = schedule.split(spatial[-2], [None, tile.columns], preserve_unit_iters=True)
    channels, vector, lanes = schedule.split(
        spatial[-1], [None, tile.vectors, tile.lanes], preserve_unit_iters=True
    )
    inner = [*taps, column, vector, lanes]
    if order == _CHANNELS:
        schedule.reorder(channels, *spatial[:-2], columns, *inner)
        shared = schedule.fuse(channels, *spatial[:-2])
    else:
        schedule.reorder(*spatial[:-2], columns, channels, *inner)
        shared = schedule.fuse(*spatial[:-2], columns)
    schedule.set_scope(result, 0, "local")
    at = columns if order == _CHANNELS else channels
    schedule.reverse_compute_at(store, at, preserve_unit_loops=True)
    if cores > 1:
        schedule.parallel(shared)
    if main.reduction[-1] <= _MOST_UNROLLED_TAPS:
        schedule.unroll(taps[-1])
    schedule.unroll(column)
    schedule.unroll(vector)
    schedule.vectorize(lanes)
    start = schedule.decompose_reduction(result, taps[0])
    begin = schedule.get_loops(start)
    for loop in begin[-3:-1]:
        schedule.unroll(loop)
    schedule.vectorize(begin[-1])
    ends = schedule.get_loops(store)
    vector, lanes = schedule.split(ends[-1], [None, tile.lanes], preserve_unit_iters=True)
    schedule.vectorize(lanes)
    schedule.unroll(ends[-2])
    schedule.unroll(vector)
