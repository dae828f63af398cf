"""Which stages of a kernel share a nest of loops, and what kind of nest that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.elementary import FUNCTIONS
from edgetvm.compile.memory.kernels import MOST_STACK_BYTES, size_bytes
from edgetvm.compile.schedules import nests
from edgetvm.compile.schedules.blocks import uses
from edgetvm.compile.schedules.columns import ColumnGroup, updates_of, vector_axes, write_columns
from edgetvm.compile.schedules.element_nests import write_elements
from edgetvm.compile.schedules.elements import elements_of
from edgetvm.compile.schedules.nests import Shape
from edgetvm.compile.schedules.rows import RowGroup, write_rows
from edgetvm.compile.schedules.stages import Axis, Stage, loads_of

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

Group = RowGroup | ColumnGroup | Stage

# To start the other cores takes as long as so many vectors of an addition, twice over: 2 to 5 us.
_WORK_OF_A_START = 8192
# Vectors of independent elements at once: a polynomial waits four cycles for each of its terms.
_VECTORS = 4
# Vectors of partial results of a row: an addition takes four cycles, and each cycle can begin one.
_PARTIAL_VECTORS = 4
# Vectors of results that are reduced at once: a term waits for the one before it in its own only.
_RESULT_VECTORS = 8
# With so many registers, the constants of a polynomial take most of them.
_FEW_REGISTERS = 16
# An elementary function in additions.
_CALL_COST = 3
# Windows with fewer elements side by side are no rows: LLVM reads neighbouring windows together.
_LEAST_WINDOW = 8


def groups_of(stages: Sequence[Stage]) -> list[Group] | None:
    """The stages in groups, or None where a reduction fits no kind of nest."""
    groups: list[Group] = []
    for stage in stages:
        last = groups[-1] if groups else None
        if isinstance(last, RowGroup):
            longer = RowGroup(last.extents, (*last.stages, stage))
            if _all_fit(longer):
                groups[-1] = longer
                continue
        if not stage.reduction:
            if isinstance(last, ColumnGroup) and not last.after and _follows(stage, last.reduction):
                groups[-1] = ColumnGroup(last.reduction, (stage,))
            else:
                groups.append(stage)
            continue
        made = _row_group(groups, stage)
        if made is not None:
            groups.append(made)
        elif vector_axes(stage) is not None:
            groups.append(ColumnGroup(stage, ()))
        else:
            return None
    return groups


def _row_group(groups: list[Group], stage: Stage) -> RowGroup | None:
    """A group that begins with a reduction, or with stages before it, which are taken away."""
    extents = tuple(axis.extent for axis in stage.long_axes)
    group = RowGroup(extents, (stage,))
    if not _all_fit(group):
        return None
    while groups and isinstance(groups[-1], Stage):
        longer = RowGroup(extents, (groups[-1], *group.stages))
        if not _all_fit(longer):
            break
        groups.pop()
        group = longer
    return group


def _all_fit(group: RowGroup) -> bool:
    return all(_fits(stage, group) for stage in group.stages)


def _fits(stage: Stage, group: RowGroup) -> bool:
    rank = len(group.extents)
    mine = tuple(axis.extent for axis in stage.long_axes)
    if mine[:rank] != group.extents or (stage.reduction and len(mine) != rank):
        return False
    if stage.reduction and not _reduces_by_vectors(stage):
        return False
    written = {buffer: other for other in group.stages for buffer in other.buffers}
    return all(
        _reads_own(one, written[one.source].long_axes[:rank], written[one.source], stage)
        for value in stage.values
        for one in loads_of(value)
        if one.source in written
    )


def _follows(stage: Stage, reduction: Stage) -> bool:
    """Whether an element of a stage is computed from the same element of a reduction."""
    if [a.extent for a in stage.long_axes] != [a.extent for a in reduction.long_axes]:
        return False
    read = [one for one in loads_of(stage.values[0]) if one.source in reduction.buffers]
    return bool(read) and all(
        _reads_own(one, reduction.long_axes, reduction, stage) for one in read
    )


def _reads_own(one: Any, axes: Sequence[Any], writer: Stage, reader: Stage) -> bool:
    return all(
        one.indices[writer.spatial.index(axis)].same_as(mine.variable)
        for axis, mine in zip(axes, reader.long_axes, strict=False)
    )


def _reduces_by_vectors(stage: Stage) -> bool:
    """Whether all its updates join terms that lie one behind the other along the last axis."""
    inner = [axis for axis in stage.reduction if axis.extent > 1]
    updates = updates_of(stage)
    if not inner or updates is None:
        return False
    if inner[-1].extent < _LEAST_WINDOW and _is_window(stage, inner[-1]):
        return False
    axes = (*stage.spatial, *stage.reduction)
    terms = [nests.linear(update.term, axes, {}) for update in updates]
    return nests.stride(terms, inner[-1]) == 1


def _is_window(stage: Stage, inner: Axis) -> bool:
    """Whether an axis is reduced around each place of another, as in pooling."""
    indices = [index for value in stage.values for one in loads_of(value) for index in one.indices]
    return any(
        uses(index, inner.variable) and any(uses(index, axis.variable) for axis in stage.long_axes)
        for index in indices
    )


@dataclass(frozen=True)
class Plan:
    """All groups of a kernel, and what they keep in memory for each other."""

    function: PrimFunc
    groups: tuple[Group, ...]

    def stages(self, group: Group) -> tuple[Stage, ...]:
        """The stages of a group."""
        if isinstance(group, RowGroup):
            return group.stages
        return (group.reduction, *group.after) if isinstance(group, ColumnGroup) else (group,)

    @property
    def heaviest(self) -> Group:
        """The group with the most work."""
        return max(self.groups, key=lambda g: sum(stage.work for stage in self.stages(g)))

    def kept(self) -> list[Any]:
        """Buffers that are read by another group than the one that writes them, and results."""
        found: list[Any] = list(self.function.params)
        for group in self.groups:
            mine = {buffer for stage in self.stages(group) for buffer in stage.buffers}
            others = [s for other in self.groups if other is not group for s in self.stages(other)]
            read = {one.source for s in others for value in s.values for one in loads_of(value)}
            found += [buffer for buffer in mine if buffer in read and buffer not in found]
        return found

    @property
    def fits_the_stack(self) -> bool:
        """Whether what the groups keep for each other does: nothing else is there to hold it."""
        params = list(self.function.params)
        kept = [size_bytes(buffer.ty) or 0 for buffer in self.kept() if buffer not in params]
        return sum(kept) <= MOST_STACK_BYTES

    def kernel(self, profile: BoardProfile) -> PrimFunc:
        """The kernel with nests for all groups."""

        def write() -> None:
            memory = {
                buffer: buffer
                if buffer in list(self.function.params)
                else nests.allocate(_size(buffer), buffer.ty.dtype, "global")
                for buffer in self.kept()
            }
            for group in self.groups:
                self._write(group, profile, memory)

        return nests.kernel(self.function, write)

    def _write(self, group: Group, profile: BoardProfile, memory: Mapping[Any, Any]) -> None:
        stages = self.stages(group)
        lanes, cores = lanes_for(stages, profile), cores_for(stages, profile)
        few = profile.vector_registers <= _FEW_REGISTERS
        if isinstance(group, RowGroup):
            partial_vectors = _PARTIAL_VECTORS
            write_rows(group, Shape(lanes, partial_vectors, cores), memory)
        elif isinstance(group, ColumnGroup):
            result_vectors = _RESULT_VECTORS
            write_columns(group, Shape(lanes, result_vectors, cores), memory)
        else:
            vectors = _VECTORS // 2 if few else _VECTORS
            write_elements(elements_of(group), Shape(lanes, vectors, cores), memory)


def _size(buffer: Any) -> int:
    return math.prod(int(size) for size in buffer.ty.shape)


def lanes_for(stages: Sequence[Stage], profile: BoardProfile) -> int:
    """Lanes of a vector of the widest element."""
    import tvm_ffi
    from tvm import DataType, tirx

    numbers = [buffer for stage in stages for buffer in stage.buffers]
    for value in (value for stage in stages for value in stage.values):
        numbers += [one.source for one in loads_of(value)]
        tvm_ffi.structural_walk(value, (tirx.Cast, numbers.append), order="pre")
    widest = max(int(DataType(str(number.ty.dtype)).bits) for number in numbers)
    return max(1, profile.vector_lanes * 32 // max(8, widest))


def cores_for(stages: Sequence[Stage], profile: BoardProfile) -> int:
    """Cores that the work is worth."""
    cost = sum(stage.work * (1 + _CALL_COST * _calls(stage)) for stage in stages)
    return profile.cores if cost >= _WORK_OF_A_START * profile.vector_lanes else 1


def _calls(stage: Stage) -> int:
    """Calls of elementary functions for each element."""
    import tvm_ffi
    from tvm import ir

    found: list[Any] = []
    for value in stage.values:
        tvm_ffi.structural_walk(value, (ir.Call, found.append), order="pre")
    names = [str(call.op.name) for call in found if isinstance(call.op, ir.Op)]
    return sum(name in FUNCTIONS for name in names)
