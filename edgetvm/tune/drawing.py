"""Draws schedules from MetaSchedule's own space: sketches of a kernel, their decisions at random.

A worker does it, not the search: the sketches of a convolution take seconds, and a schedule some
hundredths of one. Shao et al. 2022, "Tensor Program Optimization with Probabilistic Programs".
"""

from __future__ import annotations

import functools
import json
import random
from dataclasses import dataclass
from typing import Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.schedules.traces import trace_json

# Draws for each trace wanted: some decisions contradict each other.
_PATIENCE = 3
# Of the traces drawn from parents, those that come from sketches all the same.
_FRESH = 0.4


@dataclass(frozen=True)
class DrawJob:
    """Schedules to draw.

    Attributes:
        kernel: unscheduled, as TVM's JSON.
        profile: of the board.
        options: how it is compiled.
        count: of schedules, at most.
        seed: the same one draws the same.
        parents: traces as JSON of which one decision is drawn anew.
    """

    kernel: str
    profile: BoardProfile
    options: CompileOptions
    count: int
    seed: int
    parents: tuple[str, ...] = ()


def draw_traces(job: DrawJob) -> tuple[str, ...]:
    """Different traces as JSON, each of which schedules the kernel; none where there is no space.

    Raises:
        Exception: whatever MetaSchedule raises on a kernel that it does not foresee.
    """
    from edgetvm.base.native import native_words_kept_back
    from edgetvm.compile.target import target_for

    with native_words_kept_back():
        space = _space(job.kernel, str(target_for(job.profile, job.options)))
        draw = random.Random(job.seed)  # noqa: S311 - a search
        found: dict[str, None] = {}
        for _ in range(_PATIENCE * job.count):
            trace = space.drawn(draw, job.parents)
            if trace is not None:
                found[trace] = None
            if len(found) == job.count:
                break
    return tuple(found)


@dataclass(frozen=True)
class _Sketches:
    function: Any
    traces: tuple[Any, ...]
    postprocs: tuple[Any, ...]

    def drawn(self, draw: random.Random, parents: tuple[str, ...]) -> str | None:
        """One schedule; None where its decisions contradict each other."""
        from tvm import s_tir

        if not self.traces:
            return None
        schedule = self._fresh(draw)
        try:
            if parents and draw.random() >= _FRESH:
                parent = self._fresh(draw)
                s_tir.Trace.apply_json_to_schedule(json.loads(draw.choice(parents)), parent)
                kept = _all_but(draw.randrange(max(1, len(parent.trace.decisions))))
                parent.trace.apply_to_schedule(schedule, True, kept)
            else:
                draw.choice(self.traces).apply_to_schedule(schedule, True, _none)
        except (s_tir.ScheduleError, RuntimeError, ValueError):
            return None
        if not all(one.apply(schedule) for one in self.postprocs):
            return None
        return trace_json(schedule.trace)

    def _fresh(self, draw: random.Random) -> Any:
        from tvm import s_tir

        return s_tir.Schedule(
            self.function, seed=draw.randrange(1, 1 << 30), error_render_level="none"
        )


@functools.lru_cache(maxsize=32)
def _space(kernel: str, target: str) -> _Sketches:
    from edgetvm.base.frames import quick_frames

    quick_frames()
    from tvm import ir
    from tvm.s_tir import meta_schedule as ms
    from tvm.target import Target

    from edgetvm.compile.memory.strides import without_gaps

    function = without_gaps(ir.load_json(kernel)).with_attr("global_symbol", "main")
    # Without RewriteLayout: what lies in a package is laid out by the compiler.
    postprocs = (
        ms.postproc.DisallowDynamicLoop(),
        ms.postproc.RewriteParallelVectorizeUnroll(),
        ms.postproc.RewriteReductionBlock(),
    )
    context = ms.TuneContext(
        mod=function,
        target=Target(target),
        space_generator=ms.space_generator.PostOrderApply(
            sch_rules=ms.schedule_rule.schedule_rule.create("llvm"),
            postprocs=list(postprocs),
            mutator_probs={},
        ),
        rand_state=1,
        num_threads=1,
    )
    return _Sketches(
        function, tuple(one.trace for one in context.generate_design_space()), postprocs
    )


def _none(*_: object) -> None:
    """Every decision is drawn anew."""


def _all_but(at: int) -> Any:
    """Keeps the decisions of a trace, but one."""
    number = -1

    def provide(_: object, inputs: object, attributes: object, decision: object) -> object:
        nonlocal number
        number += decision is not None
        return None if number == at else decision

    return provide
