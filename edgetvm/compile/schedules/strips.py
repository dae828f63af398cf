"""Nests that go over the same strips, joined: one strip goes through all of them, then the next.

What one nest hands to the next is then as large as a strip, and still in the cache.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.rewriting import like, realizes_of, with_fields

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

# The annotation of a kernel's root: names of buffers that its cores do not share, though they lie
# in one: the first axis tells the cores apart.
APART = "edgetvm.apart"


def strip_by_strip(
    function: PrimFunc, nests: tuple[str, ...], handed: tuple[str, ...], strips: int, cores: int
) -> PrimFunc:
    """The function with some of its nests, which follow each other, in one loop over strips.

    Args:
        function: scheduled; the outermost loop of each of the nests is that over strips.
        nests: for each of them, a block that it holds.
        handed: blocks whose results only these nests use. Their first axis is that of strips.
        strips: how many there are.
        cores: that share them.
    """
    from tvm import s_tir, tirx

    each = math.ceil(strips / cores)
    realizes = realizes_of(function, handed)
    buffers = [realizes[name].block.writes[0].source for name in handed]
    root = function.body.block
    statements = list(root.body.seq)
    places = [
        next(at for at, one in enumerate(statements) if realizes_of(one, (name,)))
        for name in nests
    ]
    parts = [statements[at] for at in places]
    kind = str(parts[0].loop_var.ty.dtype)
    share, inner = tirx.Var("share", kind), tirx.Var("strip", kind)
    strip = share * each + inner if cores > 1 else inner
    body = tirx.SeqStmt([_at(one, strip) for one in parts])
    zero = like(parts[0].extent, 0)
    last = tirx.min(like(zero, each), strips - share * each) if strips % cores else like(zero, each)
    loop: Any = tirx.For(inner, zero, last, tirx.ForKind.SERIAL, body)
    if cores > 1:
        loop = tirx.For(share, zero, like(zero, cores), tirx.ForKind.PARALLEL, loop)
    joined = [
        *statements[: places[0]],
        loop,
        *(one for at, one in enumerate(statements) if at > places[0] and at not in places),
    ]
    smaller = {
        buffer: tirx.decl_buffer(
            [cores, *buffer.shape[1:]], buffer.dtype, buffer.name, scope=buffer.scope()
        )
        for buffer in buffers
    }
    whole = with_fields(
        root,
        body=tirx.SeqStmt(joined) if len(joined) > 1 else joined[0],
        alloc_buffers=[smaller.get(one, one) for one in root.alloc_buffers],
        annotations={**root.annotations, APART: [one.name for one in smaller.values()]},
    )
    made = function.with_body(s_tir.SBlockRealize([], function.body.predicate, whole))
    return _with_first_axis(made, smaller, each)


def _at(loop: Any, index: Any) -> Any:
    """One turn of a loop."""
    import tvm_ffi
    from tvm import ir

    def instead(variable: Any) -> Any:
        return index if variable.same_as(loop.loop_var) else variable

    return tvm_ffi.structural_map(loop.body, (ir.Var, instead))


def _with_first_axis(function: PrimFunc, smaller: Any, each: int) -> PrimFunc:
    """The function with the smaller buffers in place of others: a strip lies where its core's do."""
    import tvm_ffi
    from tvm import ir, tirx

    def load(one: Any, mutator: Any) -> Any:
        made = mutator.default_mutate(one)
        buffer = smaller.get(made.source)
        if buffer is None:
            return made
        return tirx.BufferLoad(buffer, [made.indices[0] // each, *made.indices[1:]])

    def store(one: Any, mutator: Any) -> Any:
        made = mutator.default_mutate(one)
        buffer = smaller.get(made.buffer)
        if buffer is None:
            return made
        return tirx.BufferStore(buffer, made.value, [made.indices[0] // each, *made.indices[1:]])

    def region(one: Any, mutator: Any) -> Any:
        made = mutator.default_mutate(one)
        buffer = smaller.get(made.source)
        if buffer is None:
            return made
        first = made.region[0]
        within = ir.Range.from_min_extent(first.min // each, first.extent)
        return tirx.BufferRegion(buffer, [within, *made.region[1:]])

    callbacks = [
        (ir.expr.TensorLoad, load),
        (tirx.BufferStore, store),
        (ir.expr.TensorRegion, region),
    ]
    return function.with_body(tvm_ffi.structural_mutate(function.body, callbacks))
