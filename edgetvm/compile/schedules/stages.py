"""A kernel as a list of stages: what each computes, apart from the loops that it stands in.

Rules that write their loops themselves start from here. They do so because the schedule's own
primitives lose the condition of a loop that does not divide: `compute_at` of a block that `rfactor`
made drops it, and reads past the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.blocks import Block, blocks_of, uses

if TYPE_CHECKING:
    from tvm.s_tir import Schedule


@dataclass(frozen=True)
class Axis:
    """One axis of a stage: its variable and how far it goes, from 0."""

    variable: Any
    extent: int


@dataclass(frozen=True)
class Stage:
    """One block.

    Attributes:
        name: the block's.
        buffers: what it writes; several only where a reduction keeps several values.
        spatial: axes of what it writes, those of extent 1 among them.
        reduction: axes that it reduces.
        values: for each buffer the new element; of a reduction, in terms of the old one.
        initial: for each buffer of a reduction what it starts with.
    """

    name: str
    buffers: tuple[Any, ...]
    spatial: tuple[Axis, ...]
    reduction: tuple[Axis, ...]
    values: tuple[Any, ...]
    initial: tuple[Any, ...]

    @property
    def long_axes(self) -> tuple[Axis, ...]:
        """Spatial axes but those of extent 1."""
        return tuple(axis for axis in self.spatial if axis.extent > 1)

    @property
    def work(self) -> int:
        """Elements that are computed, or terms that are reduced."""
        return math.prod(axis.extent for axis in (*self.spatial, *self.reduction))


@dataclass(frozen=True)
class Update:
    """How a reduction takes in one more term: old value and term joined by an operator.

    Attributes:
        join: makes an expression of two.
        term: the term.
    """

    join: Callable[[Any, Any], Any]
    term: Any


def update_of(stage: Stage, position: int) -> Update | None:
    """The update of one of a reduction's buffers, or None where it is of another kind."""
    from tvm import tirx
    from tvm.ir.expr import TensorLoad

    value, buffer = stage.values[position], stage.buffers[position]
    if not isinstance(value, (tirx.Add, tirx.Max, tirx.Min, tirx.Mul)):
        return None
    for old, term in ((value.a, value.b), (value.b, value.a)):
        repeated = any(one.source.same_as(buffer) for one in loads_of(term))
        if isinstance(old, TensorLoad) and old.source.same_as(buffer) and not repeated:
            return Update(type(value), term)
    return None


def is_conditional(expression: Any) -> bool:
    """Whether it computes one of two values, and only that."""
    from tvm import ir

    if not isinstance(expression, ir.Call) or not isinstance(expression.op, ir.Op):
        return False
    return str(expression.op.name).endswith(".if_then_else")


def is_product(stage: Stage) -> bool:
    """Whether a reduction reads several tensors along what it reduces, as matrix products do.

    Such want tiles of results, in which each operand that was read is used often.
    """
    variables = [axis.variable for axis in stage.reduction]
    read = {
        one.source
        for value in stage.values
        for one in loads_of(value)
        if any(uses(index, variable) for index in one.indices for variable in variables)
    }
    return len(read) > 1


def rewritten(
    expression: Any,
    variables: Mapping[Any, Any],
    load: Callable[[Any], Any] | None = None,
) -> Any:
    """An expression with variables replaced, and every load of a tensor changed by a function."""
    import tvm_ffi
    from tvm import tirx
    from tvm.ir.expr import TensorLoad

    changes: list[tuple[Any, Callable[[Any], Any]]] = [
        (tirx.Var, lambda variable: variables.get(variable, variable))
    ]
    if load is not None:
        changes.append((TensorLoad, load))
    return tvm_ffi.structural_map(expression, changes, order="post")


def loads_of(expression: Any) -> list[Any]:
    """All loads of tensors in an expression."""
    import tvm_ffi
    from tvm.ir.expr import TensorLoad

    found: list[Any] = []
    tvm_ffi.structural_walk(expression, (TensorLoad, found.append), order="pre")
    return found


def stages_of(schedule: Schedule) -> list[Stage] | None:
    """The blocks of a scheduled or unscheduled kernel, or None where one cannot be told apart."""
    blocks = blocks_of(schedule)
    if not blocks:
        return None
    stages = [_stage(block) for block in blocks]
    return None if None in stages else [stage for stage in stages if stage is not None]


def _stage(block: Block) -> Stage | None:
    node = block.node
    axes = tuple(Axis(axis.var, int(axis.dom.extent)) for axis in node.iter_vars)
    spatial, reduction = axes[: len(block.spatial)], axes[len(block.spatial) :]
    stores = _stores(node.body)
    starts = [] if node.init is None else _stores(node.init)
    if stores is None or starts is None or node.match_buffers or bool(reduction) != bool(starts):
        return None
    if not all(_whole(store.indices, spatial) for store in (*stores, *starts)):
        return None
    buffers = tuple(store.buffer for store in stores)
    if reduction and [store.buffer for store in starts] != list(buffers):
        return None
    return Stage(
        node.name_hint,
        buffers,
        spatial,
        reduction,
        tuple(store.value for store in stores),
        tuple(store.value for store in starts),
    )


def _stores(body: Any) -> list[Any] | None:
    """The stores of a body, with what it names put in, or None where there is anything else."""
    from tvm import tirx

    named: dict[Any, Any] = {}
    stores = []
    for statement in body.seq if isinstance(body, tirx.SeqStmt) else [body]:
        if isinstance(statement, tirx.Bind):
            named[statement.var] = rewritten(statement.value, named)
        elif isinstance(statement, tirx.BufferStore):
            value = rewritten(statement.value, named) if named else statement.value
            stores.append(tirx.BufferStore(statement.buffer, value, statement.indices))
        else:
            return None
    return stores


def _whole(indices: Sequence[Any], axes: Sequence[Axis]) -> bool:
    """Whether indices are the axes, in their order: every element is written once."""
    if not axes:
        return all(_is_zero(index) for index in indices)
    return len(indices) == len(axes) and all(
        index.same_as(axis.variable) or (axis.extent == 1 and _is_zero(index))
        for index, axis in zip(indices, axes, strict=True)
    )


def _is_zero(index: Any) -> bool:
    from tvm import tirx

    return isinstance(index, tirx.IntImm) and int(index) == 0
