"""Kernels rewritten before they are scheduled, where no schedule primitive does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc


def with_axes_split(function: PrimFunc, name: str, factors: Mapping[int, int]) -> PrimFunc:
    """The function with axes of one block split in two each: quotient and remainder.

    Unlike a loop that is split, the remainder stays an axis of its own in what the block reads, and
    TVM can tell which elements a fixed remainder needs.

    Args:
        function: unscheduled: each block under loops of its own.
        name: of the block.
        factors: by position of a spatial axis; each divides the axis.
    """
    import tvm_ffi
    from tvm import ir, s_tir, sym, tirx

    realize = realizes_of(function, (name,))[name]
    block = realize.block
    parts: dict[Any, tuple[Any, Any, int]] = {}
    loops: dict[Any, tuple[Any, Any, int]] = {}
    axes, values = [], []
    analyzer = sym.Analyzer()
    for position, (axis, value) in enumerate(
        zip(block.iter_vars, realize.iter_values, strict=True)
    ):
        factor = factors.get(position)
        if factor is None:
            axes.append(axis)
            values.append(value)
            continue
        for made, variable in ((parts, axis.var), (loops, value)):
            kind = str(variable.ty.dtype)
            pair = (ir.Var(f"{variable.name}_q", kind), ir.Var(f"{variable.name}_r", kind))
            made[variable] = (*pair, factor)
        for variable, loop, extent in zip(
            parts[axis.var][:2],
            loops[value][:2],
            (int(axis.dom.extent) // factor, factor),
            strict=True,
        ):
            whole = ir.Range.from_min_extent(axis.dom.min, like(axis.dom.extent, extent))
            analyzer.bind(variable, whole)
            axes.append(tirx.IterVar(whole, variable, axis.iter_type))
            values.append(loop)

    def joined(variable: Any) -> Any:
        if variable not in parts:
            return variable
        quotient, remainder, factor = parts[variable]
        return quotient * factor + remainder

    def inside(part: Any) -> Any:
        divisions = ((tirx.FloorDiv, tirx.FloorMod), analyzer.simplify)
        return tvm_ffi.structural_map(part, [(ir.Var, joined), divisions])

    changed = with_fields(
        block,
        iter_vars=axes,
        reads=[inside(region) for region in block.reads],
        writes=[inside(region) for region in block.writes],
        body=inside(block.body),
    )

    def on_realize(one: Any) -> Any:
        if one.block.name_hint != name:
            return one
        return s_tir.SBlockRealize(values, one.predicate, changed)

    def on_loop(loop: Any) -> Any:
        if loop.loop_var not in loops:
            return loop
        quotient, remainder, factor = loops[loop.loop_var]
        inner = tirx.For(remainder, loop.min, like(loop.extent, factor), loop.kind, loop.body)
        outer = like(loop.extent, int(loop.extent) // factor)
        return tirx.For(quotient, loop.min, outer, loop.kind, inner)

    body = tvm_ffi.structural_map(
        function.body, [(tirx.For, on_loop), (s_tir.SBlockRealize, on_realize)]
    )
    return function.with_body(body)


def realizes_of(within: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Where the blocks of those names stand, with the loops that are bound to their axes.

    Args:
        within: a function or a statement.
        names: of the blocks.
    """
    import tvm_ffi
    from tvm import s_tir

    found: dict[str, Any] = {}

    def note(realize: Any) -> Any:
        if realize.block.name_hint in names:
            found[realize.block.name_hint] = realize
        return realize

    tvm_ffi.structural_map(getattr(within, "body", within), [(s_tir.SBlockRealize, note)])
    return found


def with_fields(block: Any, **changes: Any) -> Any:
    """The block with other fields."""
    from tvm import s_tir

    fields = {
        name: changes.get(name, getattr(block, name))
        for name in (
            "iter_vars",
            "reads",
            "writes",
            "name_hint",
            "body",
            "init",
            "alloc_buffers",
            "match_buffers",
            "annotations",
        )
    }
    return s_tir.SBlock(**fields)


def like(number: Any, value: int) -> Any:
    """The value as an integer of the same type as another."""
    from tvm import tirx

    return tirx.IntImm(str(number.ty.dtype), value)


def mentions(expression: Any, variable: Any) -> bool:
    """Whether a variable occurs in an expression."""
    from tvm import tirx

    return any(one.same_as(variable) for one in tirx.analysis.undefined_vars(expression))
