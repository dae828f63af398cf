"""Convolutions and matrix products: a tile of the output stays in registers.

Each vector that is loaded is used for all points of the tile along which it does not change, each
element of the other operand for all vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.kernels.contraction import PACKED
from edgetvm.compile.kernels.dots import dot_named
from edgetvm.compile.kernels.integer import DOT
from edgetvm.compile.kernels.planes import POINTS, STAGED
from edgetvm.compile.schedules.beginnings import begin_with_bias
from edgetvm.compile.schedules.blocks import Block, blocks_of, indices_of_reads, uses
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.epilogue import padding_along, paddings_of, pads_last, surround
from edgetvm.compile.schedules.loops import spread
from edgetvm.compile.schedules.stretch import Stretch, stretched
from edgetvm.compile.schedules.sums import in_pieces, sum_in_registers, sum_pieces
from edgetvm.compile.schedules.tile import Tile, choose_tile, elements_together, tiles
from edgetvm.compile.schedules.work import shared_by

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

# Where one load brings the elements of several steps, so many loads at most in a round of the loop:
# with more, LLVM keeps elements of all of them, and spills sums (Cortex-A72).
_LOADS_UNROLLED = 2


@dataclass(frozen=True)
class Form:
    """A contraction seen as rows x columns points of features.

    Attributes:
        rows, columns: positions of the axes whose points a tile may hold; None where there is none.
        features: of one group.
        width: of packed weights, if they are.
        dot: the instruction that sums, where LLVM is not left to find one.
        elements: which of the block's reads runs along its last reduction axis, without gaps and
            the same for all features; None where none does.
        across: columns of a tile, where weights are packed for so many.
        blocks: position of the axis of blocks of features, each one vector on the last axis, where
            weights are packed for whole tiles of them; None where all features of a group lie on
            the last axis.
    """

    rows: int | None
    columns: int | None
    features: int
    width: int | None
    dot: str | None = None
    elements: int | None = None
    across: int | None = None
    blocks: int | None = None


def contraction_form(block: Block) -> Form | None:
    """How the block is tiled, or None where its last axis is not read contiguously."""
    if not block.spatial:
        return None
    last = len(block.spatial) - 1
    variable = block.spatial_variables[last]
    packed = block.node.annotations.get(PACKED)
    vectors = []
    for indices in indices_of_reads(block):
        used = [uses(index, variable) for index in indices]
        if packed is None and any(used[:-1]):
            return None
        if any(used):
            vectors.append((used[0], indices))
    if not vectors:
        return None
    if packed is not None and len(vectors) > 1:
        # Of a grouped convolution, whose data depend on the feature's group too.
        vectors = [one for one in vectors if one[0]]
    points = [
        axis
        for axis in range(last)
        if not any(
            uses(index, block.spatial_variables[axis])
            for _, indices in vectors
            for index in indices
        )
    ]
    columns = points[-1] if points else None
    rows = points[-2] if len(points) > 1 else None
    elements = _elements(block)
    if packed is None:
        across = block.node.annotations.get(POINTS)
        known = None if across is None else int(across)
        return Form(rows, columns, block.spatial[last], None, elements=elements, across=known)
    features, width = (int(size) for size in packed)
    dot = block.node.annotations.get(DOT)
    return Form(
        rows,
        columns,
        features,
        width,
        None if dot is None else str(dot),
        elements,
        blocks=1 if block.spatial[last] < features else None,
    )


def _elements(block: Block) -> int | None:
    summed = block.node.iter_vars[-1].var
    for number, indices in enumerate(indices_of_reads(block)):
        if not indices or not indices[-1].same_as(summed):
            continue
        if not any(uses(index, block.spatial_variables[-1]) for index in indices):
            return number
    return None


def steps_together(main: Block, form: Form, profile: BoardProfile) -> int:
    """How many steps of the sums take their elements from one load."""
    if form.elements is None or form.dot is not None:
        return 1
    if main.dtype not in ("float32", "float16"):
        return 1
    return elements_together(main.reduction[-1], profile)


def tiled(function: PrimFunc, profile: BoardProfile, decisions: Decisions) -> Schedule | None:
    """One reduction block whose last axis is contiguous, with or without what follows it."""
    from tvm import s_tir

    schedule = s_tir.Schedule(function)
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    reductions = [block for block in blocks if block.reduction]
    if len(reductions) != 1 or math.prod(reductions[0].reduction) < 4 or not reductions[0].spatial:
        return None
    main = reductions[0]
    profile = profile.counted_in(main.dtype)
    form = contraction_form(main)
    if form is None:
        return None
    tile = choose_form_tile(main, form, profile, decisions)
    # Sums of float16 are joined from pieces, which begin with zeros.
    if tile.width <= form.features and main.dtype != "float16":
        schedule, blocks, main = begin_with_bias(schedule, blocks, main)
    across = main.spatial[form.columns] if form.columns is not None else 1
    paddings = paddings_of(blocks, main)
    # LLVM takes the test for the border out of the loop over channels; not where one tile has both
    # borders, nor where several tiles lie in one, nor within a vector, whose elements would be told
    # from the border one by one, nor where elements are loaded together.
    together = steps_together(main, form, profile)
    wide = max((padding_along(block, form.columns or 0) for block in paddings), default=0)
    inline = across >= 2 * tile.columns >= wide and together == 1
    inline = inline and not any(map(pads_last, paddings))
    border = decisions.choose("border", ("inlined", "staged"), "inlined" if inline else "staged")
    staged = [] if border == "inlined" else paddings
    staged += [block for block in blocks if STAGED in block.node.annotations]
    cores = decisions.choose("cores", (1, profile.cores), shared_by(main.work, profile))
    around = surround(schedule, blocks, main, staged)
    schedule = tile_contraction(schedule, main, around.owner, form, tile, cores, together)
    for block in blocks_of(schedule) or []:
        if block.node.name_hint in around.apart:
            spread(schedule, block, profile)
    return schedule


def tile_contraction(
    schedule: Schedule,
    main: Block,
    owner: str,
    form: Form,
    tile: Tile,
    cores: int,
    together: int,
) -> Schedule:
    """Sum a contraction in register tiles; begins again where it must stretch the kernel."""
    schedule = stretched_contraction(schedule, main, owner, form, tile)
    sum_in_tiles(schedule, main, owner, form, tile, cores, together)
    return schedule


def choose_form_tile(main: Block, form: Form, profile: BoardProfile, decisions: Decisions) -> Tile:
    """The decision on a contraction's tile."""
    extent = main.spatial
    across = extent[form.columns] if form.columns is not None else 1
    down = extent[form.rows] if form.rows is not None else 1
    outer = math.prod(extent) // (across * down * form.features)
    lanes = None if form.dot is None else dot_named(form.dot).lanes
    together = steps_together(main, form, profile)
    cores = shared_by(main.work, profile)
    known = form.features, down, across
    given = form.width, lanes, together, form.across
    default = choose_tile(*known, outer, profile, cores, *given)
    candidates = tuple(tiles(form.features, down, across, profile, *given))
    return decisions.choose("tile", candidates, default)


def stretched_contraction(schedule: Any, main: Block, owner: str, form: Form, tile: Tile) -> Any:
    """The schedule begun again on whole tiles, where the extents do not divide."""
    from tvm import s_tir

    last = len(main.spatial) - 1
    wanted = {}
    if form.blocks is None:
        groups = main.spatial[last] // form.features
        wanted[last] = Stretch(form.features, tile.width, groups)
    if form.columns is not None:
        wanted[form.columns] = Stretch(main.spatial[form.columns], tile.columns)
    if form.rows is not None:
        wanted[form.rows] = Stretch(main.spatial[form.rows], tile.rows)
    axes = {axis: one for axis, one in wanted.items() if one.extent % one.tile}
    if not axes:
        return schedule
    function = stretched(schedule.mod["main"], main.node.name_hint, owner, axes, form.width)
    return s_tir.Schedule(function)


def sum_in_tiles(
    schedule: Any, main: Block, owner: str, form: Form, tile: Tile, cores: int, together: int
) -> None:
    """Sum a tile in registers, then store it from `owner`'s block, epilogue included."""
    result, store = schedule.get_sblock(main.node.name_hint), schedule.get_sblock(owner)
    loops = schedule.get_loops(result)
    rank = len(main.spatial)
    pieces = None
    if main.dtype == "float16":
        pieces = in_pieces(schedule, result, loops[rank:], together)
    if pieces is not None:
        loops, together = schedule.get_loops(result), 1
    spatial, reduction = loops[:rank], loops[rank:]
    outer, features = _in_vectors(schedule, spatial, form, tile)
    inner = []
    for axis, size in ((form.rows, tile.rows), (form.columns, tile.columns)):
        if axis is not None:
            outer[axis], part = schedule.split(
                spatial[axis], [None, size], preserve_unit_iters=True
            )
            inner.append(part)
    inner += features
    columns = [] if form.columns is None else [outer.pop(form.columns)]
    # Features before rows: one block of weights stays in the cache while the rows go by.
    first = [loop for axis, loop in enumerate(outer) if axis != form.rows]
    rows = [] if form.rows is None else [outer[form.rows]]
    parts = [] if form.dot is None else [reduction.pop()]
    steps = []
    if together > 1:
        terms = int(schedule.get(reduction[-1]).extent)
        loads = math.gcd(terms // together, _LOADS_UNROLLED)
        whole, load, step = schedule.split(
            reduction.pop(), [None, loads, together], preserve_unit_iters=True
        )
        schedule.unroll(load)
        reduction, steps = [*reduction, whole, load], [step]
    schedule.reorder(*first, *rows, *columns, *reduction, *steps, *inner, *parts)
    shared = [*first, *rows]
    if not rows and not any(int(schedule.get(loop).extent) > 1 for loop in first):
        shared, columns = [*shared, *columns], []
    shared_loop = schedule.fuse(*shared) if len(shared) > 1 else shared[0]
    schedule.set_scope(result, 0, "local")
    at = columns[-1] if columns else shared_loop
    schedule.reverse_compute_at(store, at, preserve_unit_loops=True)
    if cores > 1:
        schedule.parallel(shared_loop)
    if pieces is not None:
        points = [axis for axis in (form.rows, form.columns) if axis is not None]
        sum_pieces(schedule, pieces, rank, points, tile.lanes, form.elements)
    sum_in_registers(schedule, result, reduction, steps, inner, form.elements, form.dot)
    ends = schedule.get_loops(store)
    stored = math.gcd(tile.lanes, int(schedule.get(ends[-1]).extent))
    vectors, lanes = schedule.split(ends[-1], [None, stored], preserve_unit_iters=True)
    schedule.vectorize(lanes)
    own = len(inner) - (form.blocks is None)
    for loop in [*ends[-own:-1], vectors]:
        schedule.unroll(loop)


def _in_vectors(
    schedule: Any, spatial: list[Any], form: Form, tile: Tile
) -> tuple[list[Any], list[Any]]:
    """All loops, those over features by tiles, and the ones over a tile's vectors and lanes."""
    if form.blocks is None:
        tiles, *inner = schedule.split(
            spatial[-1], [None, tile.vectors, tile.lanes], preserve_unit_iters=True
        )
        return [*spatial[:-1], tiles], inner
    tiles, vectors = schedule.split(
        spatial[form.blocks], [None, tile.vectors], preserve_unit_iters=True
    )
    outer = [tiles if at == form.blocks else loop for at, loop in enumerate(spatial[:-1])]
    return outer, [vectors, spatial[-1]]
