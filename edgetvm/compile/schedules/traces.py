"""MetaSchedule's traces: what it did to a kernel, step by step, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.memory.strides import over, without_gaps
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.tuned import workload_key

if TYPE_CHECKING:
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc


def trace_json(trace: Any) -> str:
    """A schedule's trace as text, as MetaSchedule's own records hold it."""
    return json.dumps(trace.as_json(), default=lambda number: number.value)


def replayed(function: PrimFunc, trace: str) -> PrimFunc | None:
    """The kernel as a trace schedules it; None where it is none for this kernel."""
    from tvm import ir, s_tir

    # Traces are over whole tensors, wherever those lie in this model. A copy is scheduled: TVM
    # changes in place what it takes for its own, and a kernel's loops are the caller's.
    whole = ir.load_json(ir.save_json(without_gaps(function)))
    schedule = s_tir.Schedule(whole.with_attr("global_symbol", "main"), error_render_level="none")
    try:
        s_tir.Trace.apply_json_to_schedule(json.loads(trace), schedule)
    except (RuntimeError, TypeError, ValueError):
        return None
    return over(schedule.mod["main"], function.params).with_attrs(function.attrs)


def trace_of(
    rule: Callable[[PrimFunc, BoardProfile, Decisions], Schedule | None],
    function: PrimFunc,
    profile: BoardProfile,
    decisions: Decisions,
) -> str | None:
    """What a rule does as a trace; None where it rewrites the kernel beside scheduling it.

    A trace counts that makes the same of the kernel as the rule.
    """
    from tvm import s_tir

    whole = without_gaps(function)
    try:
        schedule = rule(whole, profile, decisions)
    except s_tir.ScheduleError:
        return None
    if schedule is None or schedule.trace is None:
        return None
    trace = trace_json(schedule.trace)
    again = replayed(whole, trace)
    same = again is not None and workload_key(again) == workload_key(schedule.mod["main"])
    return trace if same else None
