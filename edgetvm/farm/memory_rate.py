"""How fast the cores of a board read its memory, measured there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgetvm.base.native import native_words_kept_back
from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import Roofline, roofline_of
from edgetvm.farm.session import BoardSession

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

# Several times what the caches hold, so that they help nobody, and no more of the memory than this.
_CACHES = 4
_LEAST_BYTES = 16 << 20
_MEMORY_SHARE = 8
# Vectors that are added to at a time: their sums do not wait for each other.
_VECTORS = 8
_REPEATS = 9


def roofline_on(
    session: BoardSession, profile: BoardProfile, threads: int | None = None
) -> Roofline:
    """The roofline of a board, with its memory as it is measured now.

    The time of an emulated board says nothing: its profile is asked.

    Args:
        session: with the board; what is open stays so.
        profile: of the board.
        threads: that share the work; one for each core without it.

    Raises:
        BoardError: the board failed, see `BoardSession`.
    """
    if profile.emulated:
        return roofline_of(profile, threads)
    return roofline_of(profile, threads, memory_gbs(session, profile, threads))


def memory_gbs(session: BoardSession, profile: BoardProfile, threads: int | None = None) -> float:
    """Gigabytes a second that come from memory, each thread reading a part of its own in order.

    The best of several passes: whatever else runs there can only make one slower. Takes half a
    second on a quick machine. For arguments and errors see `roofline_on`.
    """
    shape = _shape(profile, min(threads or profile.cores, profile.cores))
    library = library_of(profile, shape)
    times_s = session.time_library(library, [shape, (shape[0], shape[2])], _REPEATS)
    return 4 * math.prod(shape) / min(times_s) / 1e9


def _shape(profile: BoardProfile, threads: int) -> tuple[int, int, int]:
    """Threads, steps of each, floats of a step."""
    cached = max(profile.cache.l2_bytes, profile.cache.l3_bytes)
    size_bytes = max(_LEAST_BYTES, _CACHES * cached)
    size_bytes = min(size_bytes, profile.memory_bytes // _MEMORY_SHARE)
    width = _VECTORS * profile.vector_lanes
    return threads, max(1, size_bytes // (4 * threads * width)), width


def library_of(profile: BoardProfile, shape: tuple[int, int, int]) -> bytes:
    """A shared object whose `main` reads a tensor, one thread for each of its first axis.

    Args:
        profile: of the board.
        shape: threads, steps of each, floats of a step. `main` takes it, and a tensor for the sums
            of the steps; `prepare` makes ones of it.
    """
    from tvm import ir, tirx

    from edgetvm.compile.kernel_pipeline import kernel_pipeline
    from edgetvm.compile.linker import linked, scratch_folder
    from edgetvm.compile.target import target_for

    target = target_for(profile)
    functions = {"prepare": _fill(shape), "main": _read(shape, profile.vector_lanes)}
    with native_words_kept_back(), target, scratch_folder() as folder:
        module = ir.IRModule(
            {name: one.with_attr("global_symbol", name) for name, one in functions.items()}
        )
        return linked(tirx.build(module, target=target, pipeline=kernel_pipeline()), folder)


def _fill(shape: tuple[int, int, int]) -> PrimFunc:
    """Writes all of it: memory that nobody has written is one page of zeros."""
    from tvm import s_tir, te, tirx

    filled = te.compute(shape, lambda *_: tirx.const(1.0, "float32"), name="filled")
    schedule = s_tir.Schedule(te.create_prim_func([filled]))
    schedule.parallel(schedule.get_loops("filled")[0])
    return schedule.mod["main"]


def _read(shape: tuple[int, int, int], lanes: int) -> PrimFunc:
    """Adds up the steps of each thread."""
    from tvm import s_tir, te

    data = te.placeholder(shape, name="data")
    step = te.reduce_axis((0, shape[1]), "step")
    sums = te.compute(
        (shape[0], shape[2]), lambda t, w: te.sum(data[t, step, w], axis=step), name="sums"
    )
    schedule = s_tir.Schedule(te.create_prim_func([data, sums]))
    thread, place, steps = schedule.get_loops("sums")
    vectors, lane = schedule.split(place, [_VECTORS, lanes])
    schedule.reorder(thread, steps, vectors, lane)
    schedule.parallel(thread)
    schedule.unroll(vectors)
    schedule.vectorize(lane)
    schedule.decompose_reduction("sums", steps)
    return schedule.mod["main"]
