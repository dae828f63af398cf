"""What comes before and after the sums of a kernel, made ready for the rule that tiles them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.schedules.blocks import Block, is_in_place, uses
from edgetvm.compile.schedules.loops import inline_producers


@dataclass(frozen=True)
class Surroundings:
    """The blocks round the one that sums, by name.

    Attributes:
        owner: reads each sum once, where it is summed, and stores the result.
        apart: blocks that get loops of their own.
    """

    owner: str
    apart: tuple[str, ...]


def pads(block: Block) -> bool:
    """Whether a block makes a tensor larger."""
    source = block.node.reads[0].source.shape if block.node.reads else ()
    return math.prod(int(size) for size in source) < math.prod(block.spatial)


def pads_last(block: Block) -> bool:
    """Whether a block makes its tensor longer along the last axis."""
    source = [int(size) for read in block.node.reads[:1] for size in read.source.shape]
    return bool(source) and source[-1] < block.spatial[-1]


def padding_along(block: Block, main: Block, axis: int) -> int:
    """By how much a block makes its tensor longer where the main one walks along an axis.

    Args:
        block: puts a border round its tensor.
        main: reads what it makes; what others make of that first counts as without border.
        axis: of the main block, whose axes need not be those of the tensor: phases have their own.
    """
    variable = main.spatial_variables[axis]
    before = [int(size) for size in block.node.reads[0].source.shape]
    made = block.node.writes[0].source
    longer = (
        extent - size
        for read in main.node.reads
        if read.source.same_as(made)
        for part, extent, size in zip(read.region, block.spatial, before, strict=False)
        if uses(part.min, variable)
    )
    return max(longer, default=0)


def paddings_of(blocks: list[Block], main: Block) -> list[Block]:
    """The blocks before the main one that put a border round its input."""
    return [block for block in blocks[: blocks.index(main)] if pads(block)]


def surround(schedule: Any, blocks: list[Block], main: Block, staged: list[Block]) -> Surroundings:
    """Inline all but the blocks to stage, and find or make the one that stores the sums.

    What follows the sums element by element is done by the tile. A block whose shape is another
    (a gate that is multiplied with a whole map) comes behind, in loops of its own.
    """
    after = blocks[blocks.index(main) + 1 :]
    alike = [block for block in after if block.spatial == main.spatial]
    keep = [*staged, *alike[-1:]]
    left = inline_producers(schedule, blocks, keep)
    names = [block.node.name_hint for block in left]
    at = names.index(main.node.name_hint)
    readers = [schedule.get(block).name_hint for block in schedule.get_consumers(main.handle)]
    owner = alike[-1].node.name_hint if alike else ""
    if readers != [owner] or not _reads_in_place(schedule, main, owner):
        copy = schedule.cache_write(main.handle, 0, "global")
        owner = schedule.get(copy).name_hint
    apart = [*names[:at], *names[at + 1 :]]
    return Surroundings(owner, tuple(name for name in apart if name != owner))


def _reads_in_place(schedule: Any, main: Block, owner: str) -> bool:
    """Whether the owner reads, for each of its own elements, the sum of that element only."""
    node = schedule.get(schedule.get_sblock(owner))
    sums = schedule.get(main.handle).writes[0].source
    variables = [axis.var for axis in node.iter_vars]
    return all(
        is_in_place([part.min for part in read.region], variables)
        for read in node.reads
        if read.source.same_as(sums)
    )
