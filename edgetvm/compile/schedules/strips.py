"""Nests that go over the same strips, joined: one strip goes through all of them, then the next.

What one nest hands to the next is then as large as a strip, and still in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgetvm.compile.schedules.rewriting import like, realizes_of, with_fields

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

# The annotation of a kernel's root: names of buffers of which each core uses a part of its own,
# told by the first axis.
APART = "edgetvm.apart"


def strip_by_strip(
    function: PrimFunc, nests: Sequence[str], handed: Sequence[str], strips: int, cores: int
) -> PrimFunc:
    """The function with some of its nests in one loop over strips.

    Args:
        function: scheduled; the outermost loop of each of the nests is that over strips.
        nests: for each of them, a block that it holds; what stands between them needs none of them.
        handed: blocks whose results only these nests use. Their first axis is that of strips.
        strips: how many there are.
        cores: that share them.
    """
    from tvm import s_tir, tirx

    root = function.body.block
    statements = list(root.body.seq)
    places = [
        next(at for at, one in enumerate(statements) if realizes_of(one, (name,))) for name in nests
    ]
    loop = _joined([statements[at] for at in places], strips, cores)
    rest = [one for at, one in enumerate(statements) if at not in places]
    rest.insert(places[0], loop)
    smaller = {
        buffer: tirx.decl_buffer(
            [cores, *buffer.shape[1:]], buffer.dtype, buffer.name, scope=buffer.scope()
        )
        for one in realizes_of(function, tuple(handed)).values()
        for buffer in [one.block.writes[0].source]
    }
    whole = with_fields(
        root,
        body=tirx.SeqStmt(rest) if len(rest) > 1 else loop,
        alloc_buffers=[smaller.get(one, one) for one in root.alloc_buffers],
        annotations={**root.annotations, APART: [one.name for one in smaller.values()]},
    )
    made = function.with_body(s_tir.SBlockRealize([], function.body.predicate, whole))
    return _where_cores_do(made, smaller, math.ceil(strips / cores))


def _joined(nests: Sequence[Any], strips: int, cores: int) -> Any:
    """One loop over strips with one turn of all nests; or such a loop for each core."""
    from tvm import tirx

    first = nests[0]
    zero, kind = like(first.extent, 0), str(first.loop_var.ty.dtype)
    share, inner = tirx.Var("share", kind), tirx.Var("strip", kind)
    if cores == 1:
        body = tirx.SeqStmt([_turn(one, inner) for one in nests])
        return tirx.For(inner, zero, like(zero, strips), tirx.ForKind.SERIAL, body)
    each = math.ceil(strips / cores)
    body = tirx.SeqStmt([_turn(one, share * each + inner) for one in nests])
    left = like(zero, each)
    if strips % cores:
        left = tirx.min(left, strips - share * each)
    loop = tirx.For(inner, zero, left, tirx.ForKind.SERIAL, body)
    return tirx.For(share, zero, like(zero, cores), tirx.ForKind.PARALLEL, loop)


def _turn(loop: Any, index: Any) -> Any:
    import tvm_ffi
    from tvm import ir

    def instead(variable: Any) -> Any:
        return index if variable.same_as(loop.loop_var) else variable

    return tvm_ffi.structural_map(loop.body, (ir.Var, instead))


def _where_cores_do(function: PrimFunc, smaller: Mapping[Any, Any], each: int) -> PrimFunc:
    """The function with smaller buffers instead: a strip lies where all of its core's do."""
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
