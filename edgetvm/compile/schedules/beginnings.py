"""Sums that begin with what would be added to them: the bias costs no addition of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.blocks import Block, blocks_of, is_in_place
from edgetvm.compile.schedules.rewriting import with_fields

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def begin_with_bias(
    schedule: Schedule, blocks: list[Block], main: Block
) -> tuple[Schedule, list[Block], Block]:
    """The schedule begun again on such sums, its blocks and the one that sums; else as given."""
    from tvm import s_tir

    begun = begun_with_bias(schedule.mod["main"], main.node.name_hint)
    if begun is None:
        return schedule, blocks, main
    schedule = s_tir.Schedule(begun)
    again = blocks_of(schedule) or []
    return schedule, again, again[blocks.index(main)]


def begun_with_bias(function: PrimFunc, name: str) -> PrimFunc | None:
    """The function whose sums begin with a term of the block behind them, or None without one.

    Args:
        function: unscheduled.
        name: of the block that sums.

    The term is an element of a parameter, added to each sum in place by the only block that reads
    the sums. That block is left with a copy, which goes where blocks are inlined.
    """
    import tvm_ffi
    from tvm import s_tir

    blocks: list[Any] = []
    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, blocks.append), order="pre")
    main = next(block for block in blocks if block.name_hint == name)
    sums = main.writes[0].source
    readers = [
        block
        for block in blocks
        if block.name_hint != name and any(read.source.same_as(sums) for read in block.reads)
    ]
    found = _addition(readers[0], sums, function.params) if len(readers) == 1 else None
    if found is None:
        return None
    total, term = found

    def changed(block: Any) -> Any:
        if block.same_as(main):
            return _begun(main, readers[0], term)
        return _copying(block, total) if block.same_as(readers[0]) else block

    return function.with_body(tvm_ffi.structural_map(function.body, (s_tir.SBlock, changed)))


def _addition(block: Any, sums: Any, parameters: Any) -> tuple[Any, Any] | None:
    """The load of a sum and what is added to it, where that is all that the block does."""
    from tvm import ir, tirx

    value = getattr(block.body, "value", None)
    if not isinstance(value, tirx.Add):
        return None
    variables = [axis.var for axis in block.iter_vars]
    for total, term in ((value.a, value.b), (value.b, value.a)):
        if not all(isinstance(one, ir.expr.TensorLoad) for one in (total, term)):
            return None
        mine = total.source.same_as(sums) and is_in_place(total.indices, variables)
        if mine and any(term.source.same_as(one) for one in parameters):
            return total, term
    return None


def _begun(main: Any, reader: Any, term: Any) -> Any:
    """The block that sums, with the term in terms of its own axes."""
    import tvm_ffi
    from tvm import ir, tirx

    own = [axis.var for axis in main.iter_vars]
    places = dict(zip((axis.var for axis in reader.iter_vars), own, strict=False))
    value = tvm_ffi.structural_map(term, (ir.Var, lambda one: places.get(one, one)))
    init = tirx.BufferStore(main.init.buffer, value, list(main.init.indices))
    return with_fields(main, init=init)


def _copying(block: Any, total: Any) -> Any:
    from tvm import tirx

    body = tirx.BufferStore(block.body.buffer, total, list(block.body.indices))
    reads = [one for one in block.reads if one.source.same_as(total.source)]
    return with_fields(block, body=body, reads=reads)
