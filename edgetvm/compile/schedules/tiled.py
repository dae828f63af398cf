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
from edgetvm.compile.kernels.dots import Dot, dot_named, joining
from edgetvm.compile.kernels.integer import BETWEEN, DOT, TOGETHER
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

# Of one of NEON's registers.
_NEON_SUMS = 4
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
            the same for all features of a group; None where none does.
        across: columns of a tile, where weights are packed for so many.
        between: elements from the data of one column to the next one's, where an instruction takes
            several.
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
    between: int = 0
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
    if packed is None:
        across = block.node.annotations.get(POINTS)
        known = None if across is None else int(across)
        elements = _elements(block, block.spatial[last])
        return Form(rows, columns, block.spatial[last], None, elements=elements, across=known)
    features, width = (int(size) for size in packed)
    elements = _elements(block, features)
    dot = block.node.annotations.get(DOT)
    return Form(
        rows,
        columns,
        features,
        width,
        None if dot is None else str(dot),
        elements,
        between=int(block.node.annotations.get(BETWEEN, 0)),
        blocks=1 if block.spatial[last] < features else None,
    )


def _elements(block: Block, features: int) -> int | None:
    feature, summed = block.spatial_variables[-1], block.node.iter_vars[-1].var
    grouped = block.spatial[-1] > features
    for number, indices in enumerate(indices_of_reads(block)):
        if not indices or any(uses(index, feature) for index in indices[:-1]):
            continue
        if indices[-1].same_as(summed) or (grouped and _of_group(indices[-1], feature, summed)):
            return number
    return None


def _of_group(index: Any, feature: Any, summed: Any) -> bool:
    """Whether an index runs along from where the channels of a feature's group begin."""
    from tvm import tirx

    if not isinstance(index, tirx.Add):
        return False
    pairs = (index.a, index.b), (index.b, index.a)
    return any(
        bool(step.same_as(summed))
        and all(bool(one.same_as(feature)) for one in tirx.analysis.undefined_vars(start))
        for start, step in pairs
    )


def steps_together(main: Block, form: Form, profile: BoardProfile) -> int:
    """How many steps of the sums take their elements from one load."""
    if form.dot is not None:
        return int(main.node.annotations[TOGETHER])
    if form.elements is None:
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
    # Sums that are joined from pieces or parts begin with zeros.
    joined = main.dtype == "float16" or (form.dot is not None and dot_named(form.dot).parts > 1)
    if tile.width <= form.features and not joined:
        schedule, blocks, main = begin_with_bias(schedule, blocks, main)
    across = main.spatial[form.columns] if form.columns is not None else 1
    paddings = paddings_of(blocks, main)
    # LLVM takes the test for the border out of the loop over channels; not where one tile has both
    # borders, nor where several tiles lie in one, nor within a vector, whose elements would be told
    # from the border one by one, nor where elements are loaded together.
    together = steps_together(main, form, profile)
    wide = max((padding_along(block, main, form.columns or 0) for block in paddings), default=0)
    inline = across >= 2 * tile.columns >= wide and together == 1
    inline = inline and not any(map(pads_last, paddings))
    border = decisions.choose("border", ("inlined", "staged"), "inlined" if inline else "staged")
    staged = [] if border == "inlined" else paddings
    staged += [block for block in blocks if STAGED in block.node.annotations]
    cores = decisions.choose("cores", (1, profile.cores), _cores(main, form, profile))
    around = surround(schedule, blocks, main, staged)
    outermost = decisions.choose("outermost", ("features", "points"), "features")
    schedule = tile_contraction(
        schedule, main, around.owner, form, tile, cores, together, outermost
    )
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
    outermost: str,
) -> Schedule:
    """Sum a contraction in register tiles; begins again where it must stretch the kernel."""
    schedule = stretched_contraction(schedule, main, owner, form, tile)
    sum_in_tiles(schedule, main, owner, form, tile, cores, together, outermost)
    return schedule


def choose_form_tile(main: Block, form: Form, profile: BoardProfile, decisions: Decisions) -> Tile:
    """The decision on a contraction's tile."""
    extent = main.spatial
    across = extent[form.columns] if form.columns is not None else 1
    down = extent[form.rows] if form.rows is not None else 1
    outer = math.prod(extent) // (across * down * form.features)
    dot = None if form.dot is None else dot_named(form.dot)
    together = steps_together(main, form, profile)
    cores = _cores(main, form, profile)
    known = form.features, down, across
    given = form.width, together, form.across, dot
    default = choose_tile(*known, outer, profile, cores, *given)
    candidates = tuple(tiles(form.features, down, across, profile, *given))
    return decisions.choose("tile", candidates, default)


def _cores(main: Block, form: Form, profile: BoardProfile) -> int:
    points = math.prod(main.spatial) // form.features
    return shared_by(main.work, profile, points if form.dot is None else None)


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


@dataclass(frozen=True)
class _Nest:
    """The loops of a tiled contraction.

    Attributes:
        shared: the loop whose rounds cores share.
        at: the loop of which each round sums and stores one tile.
        reduction: loops over what is summed, round those of the tile.
        steps: of these, the innermost, where one load brings the elements of several.
        points: loops over the tile's points and vectors.
        lanes: of a vector, behind the points that one instruction takes where those are several;
            the loops over what it sums are inside.
    """

    shared: Any
    at: Any
    reduction: list[Any]
    steps: list[Any]
    points: list[Any]
    lanes: list[Any]


def sum_in_tiles(
    schedule: Any,
    main: Block,
    owner: str,
    form: Form,
    tile: Tile,
    cores: int,
    together: int,
    outermost: str = "features",
) -> None:
    """Sum a tile in registers, then store it from `owner`'s block, epilogue included."""
    result, store = schedule.get_sblock(main.node.name_hint), schedule.get_sblock(owner)
    rank, dot = len(main.spatial), None if form.dot is None else dot_named(form.dot)
    whole = pieces = None
    if dot is not None and dot.parts > 1:
        whole, result = result, _in_parts(schedule, result, dot, rank)
    if dot is not None and dot.points > 1 and form.columns is not None:
        _in_squares(schedule, result, form.columns, dot.points)
    if main.dtype == "float16":
        pieces = in_pieces(schedule, result, schedule.get_loops(result)[rank:], together)
    steps = 1 if pieces is not None else together
    nest = _nest(schedule, result, rank, form, tile, steps, outermost, cores)
    schedule.set_scope(result, 0, "local")
    if whole is not None:
        schedule.set_scope(whole, 0, "local")
        schedule.reverse_compute_at(whole, nest.at, preserve_unit_loops=True)
    schedule.reverse_compute_at(store, nest.at, preserve_unit_loops=True)
    if cores > 1:
        schedule.parallel(nest.shared)
    if pieces is not None:
        points = [axis for axis in (form.rows, form.columns) if axis is not None]
        sum_pieces(schedule, pieces, rank, points, tile.lanes, form.elements)
    inner = [*nest.points, *nest.lanes]
    sum_in_registers(
        schedule,
        result,
        nest.reduction,
        nest.steps,
        inner,
        form.elements,
        dot,
        together,
        form.between,
    )
    if whole is not None:
        _join(schedule, whole, form, tile)
    stored = _stored_lanes(dot, tile)
    ends = schedule.get_loops(store)
    stored = math.gcd(stored, int(schedule.get(ends[-1]).extent))
    vectors, lanes = schedule.split(ends[-1], [None, stored], preserve_unit_iters=True)
    schedule.vectorize(lanes)
    own = len(nest.points) + (form.blocks is not None)
    for loop in [*ends[-own:-1], vectors]:
        schedule.unroll(loop)


def _stored_lanes(dot: Dot | None, tile: Tile) -> int:
    """Of what is stored at once: four of NEON's registers of sums become one of bytes."""
    if dot is None or dot.lanes != _NEON_SUMS:
        return tile.lanes
    return math.gcd(tile.width, 4 * _NEON_SUMS)


def _nest(
    schedule: Any,
    result: Any,
    rank: int,
    form: Form,
    tile: Tile,
    together: int,
    outermost: str,
    cores: int,
) -> _Nest:
    """Split the loops of the block that sums, and put them in order."""
    loops = schedule.get_loops(result)
    reduction, within = loops[rank:], []
    dot = None if form.dot is None else dot_named(form.dot)
    if dot is not None:
        at = len(reduction) - len(dot.within)
        reduction, within = reduction[:at], reduction[at:]
    outer, (vectors, lanes) = _in_vectors(schedule, loops[:rank], form, tile)
    points = []
    for axis, size in ((form.rows, tile.rows), (form.columns, tile.columns)):
        if axis is not None:
            split = schedule.split(loops[axis], [None, size], preserve_unit_iters=True)
            outer[axis], part = split
            points.append(part)
    taken = [lanes]
    if dot is not None and dot.points > 1:
        squares, column = schedule.split(points[-1], [None, dot.points], preserve_unit_iters=True)
        points[-1], taken = squares, [column, lanes]
    points.append(vectors)
    columns = [] if form.columns is None else [outer.pop(form.columns)]
    # Features before points: one block of weights stays in the cache while the points go by. The
    # other way round a tile's points do, and the weights go by.
    first = [loop for axis, loop in enumerate(outer) if axis != form.rows]
    rows = [] if form.rows is None else [outer[form.rows]]
    if outermost == "points":
        first, rows, columns = [*rows, *columns], first[:-1], first[-1:]
    share: list[Any] = []
    if outermost == "features" and cores > 1:
        share, rows, columns = _points_shared(schedule, first, rows, columns, cores)
    steps: list[Any] = []
    if together > 1:
        reduction, step = _together(schedule, reduction, together, dot is None)
        # An instruction of several steps takes their elements from their places itself.
        steps, within = ([step], within) if dot is None else ([], [step, *within])
    schedule.reorder(*share, *first, *rows, *columns, *reduction, *steps, *points, *taken, *within)
    if share:
        return _Nest(share[0], [*first, *rows, *columns][-1], reduction, steps, points, taken)
    shared = [*first, *rows]
    if not rows and not any(int(schedule.get(loop).extent) > 1 for loop in first):
        shared, columns = [*shared, *columns], []
    shared_loop = schedule.fuse(*shared) if len(shared) > 1 else shared[0]
    at = columns[-1] if columns else shared_loop
    return _Nest(shared_loop, at, reduction, steps, points, taken)


def _points_shared(
    schedule: Any, first: list[Any], rows: list[Any], columns: list[Any], cores: int
) -> tuple[list[Any], list[Any], list[Any]]:
    """A loop over the cores' shares of points, where those are equal; what is left of the others.

    So each core reads points that it wrote itself, kernel after kernel; sharing features, it would
    read half of what another one wrote.
    """
    *before, features = (int(schedule.get(loop).extent) for loop in first)
    over = rows or columns
    if not over or features == 1 or math.prod(before) > 1:
        return [], rows, columns
    if int(schedule.get(over[0]).extent) % cores:
        return [], rows, columns
    share, rest = schedule.split(over[0], [cores, None], preserve_unit_iters=True)
    return ([share], [rest], columns) if rows else ([share], rows, [rest])


def _together(
    schedule: Any, reduction: list[Any], together: int, unrolled: bool
) -> tuple[list[Any], Any]:
    """Split the innermost of the loops over terms: the loops then, and the one over the steps.

    Args:
        schedule: of the kernel.
        reduction: the loops over terms.
        together: steps whose elements one load brings.
        unrolled: whether a round takes several loads, where there are.
    """
    terms = int(schedule.get(reduction[-1]).extent)
    loads = math.gcd(terms // together, _LOADS_UNROLLED) if unrolled else 1
    whole, load, step = schedule.split(
        reduction[-1], [None, loads, together], preserve_unit_iters=True
    )
    schedule.unroll(load)
    return [*reduction[:-1], whole, load], step


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


def _in_parts(schedule: Any, sums: Any, dot: Dot, rank: int) -> Any:
    """Give each sum's parts a block of their own; the sums' block adds them up."""
    return schedule.rfactor(schedule.get_loops(sums)[-len(dot.within)], factor_axis=rank)


def _in_squares(schedule: Any, sums: Any, column: int, size: int) -> None:
    """Put sums where an instruction leaves them that takes as many columns as features."""

    def placed(*index: Any) -> list[Any]:
        outer = [at // size if axis == column else at for axis, at in enumerate(index[:-1])]
        return [*outer, index[-1] // size, index[column] % size, index[-1] % size]

    schedule.transform_layout(sums, ("write", 0), placed)


def _join(schedule: Any, sums: Any, form: Form, tile: Tile) -> None:
    """Add up the parts of a tile's sums."""
    part, *points, features = schedule.get_loops(sums)[-len(schedule.get(sums).iter_vars) :]
    vectors, lanes = schedule.split(features, [None, tile.lanes], preserve_unit_iters=True)
    schedule.reorder(*points, vectors, lanes, part)
    for loop in [*points, vectors]:
        schedule.unroll(loop)
    start = schedule.decompose_reduction(sums, points[0])
    schedule.tensorize(lanes, joining(form.dot))
    loops = schedule.get_loops(start)
    for loop in loops[-3:-1]:
        schedule.unroll(loop)
    schedule.vectorize(loops[-1])
