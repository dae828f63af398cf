"""Questions asked of a kernel's blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_SPATIAL = 0
_REDUCTION = 2


@dataclass(frozen=True)
class Block:
    """One block of a kernel.

    Attributes:
        handle: the schedule's name for it.
        node: its statement.
        spatial, reduction: extents of its axes, in order.
    """

    handle: Any
    node: Any
    spatial: tuple[int, ...]
    reduction: tuple[int, ...]

    @property
    def work(self) -> int:
        """Times that its body is run."""
        return math.prod(self.spatial) * math.prod(self.reduction)

    @property
    def dtype(self) -> str:
        """Of what it writes."""
        return str(self.node.writes[0].source.dtype)

    @property
    def spatial_variables(self) -> list[Any]:
        """Variables of the spatial axes, in order."""
        return [axis.var for axis in self.node.iter_vars if axis.iter_type == _SPATIAL]


def blocks_of(schedule: Any) -> list[Block] | None:
    """All blocks in order, or None where one is of a kind that no rule may touch.

    That is: a dynamic extent, an axis of another kind, or an opaque block, which does not declare
    what it reads and writes (sorting, non-maximum suppression).
    """
    found = []
    for handle in schedule.get_child_blocks(schedule.get_sblock("root")):
        node = schedule.get(handle)
        if not node.writes:
            return None
        spatial: list[int] = []
        reduction: list[int] = []
        for axis in node.iter_vars:
            try:
                extent = int(axis.dom.extent)
            except TypeError:
                return None
            if axis.iter_type not in (_SPATIAL, _REDUCTION):
                return None
            (spatial if axis.iter_type == _SPATIAL else reduction).append(extent)
        if [axis.iter_type for axis in node.iter_vars] != [_SPATIAL] * len(spatial) + [
            _REDUCTION
        ] * len(reduction):
            return None
        found.append(Block(handle, node, tuple(spatial), tuple(reduction)))
    return found


def uses(expression: Any, variable: Any) -> bool:
    """Whether an index expression depends on a variable."""
    from tvm import tirx

    return any(found.same_as(variable) for found in tirx.analysis.undefined_vars(expression))


def indices_of_reads(block: Block) -> list[list[Any]]:
    """First index of each dimension, for each tensor that the block reads."""
    return [[part.min for part in read.region] for read in block.node.reads]


def tests_last_axis(block: Block) -> bool:
    """Whether a block's elements depend on a condition on the last spatial axis."""
    import tvm_ffi
    from tvm import ir

    calls: list[Any] = []
    tvm_ffi.structural_walk(block.node.body, (ir.Call, calls.append), order="pre")
    variable = block.spatial_variables[-1]
    return any(
        isinstance(call.op, ir.Op)
        and str(call.op.name).endswith(".if_then_else")
        and uses(call.args[0], variable)
        for call in calls
    )


def period(block: Block) -> int | None:
    """The shortest period of the last spatial axis in an index of a read, where there is one.

    That is `p` of an index `x % p`, if it divides the axis into several equal parts.
    """
    from tvm import tirx

    extent, variable = block.spatial[-1], block.spatial_variables[-1]
    waiting = [index for indices in indices_of_reads(block) for index in indices]
    found = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, tirx.FloorMod) and isinstance(node.b, tirx.IntImm):
            size = int(node.b)
            if 1 < size < extent and extent % size == 0 and uses(node.a, variable):
                found.add(size)
        parts = [getattr(node, name, None) for name in ("a", "b", "value")]
        waiting += [part for part in (*parts, *getattr(node, "args", ())) if part is not None]
    return min(found, default=None)
