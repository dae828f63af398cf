"""Default schedules: small rules, asked in order, and the record of which one answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgetvm.base.frames import quick_frames
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.memory.strides import over, without_gaps
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.depthwise import depthwise
from edgetvm.compile.schedules.loops import loops
from edgetvm.compile.schedules.phases import phases
from edgetvm.compile.schedules.tiled import tiled
from edgetvm.compile.schedules.winograd import winograd
from edgetvm.compile.schedules.written import columns, elements, rows

if TYPE_CHECKING:
    from tvm.ir import IRModule
    from tvm.s_tir import Schedule
    from tvm.tirx import PrimFunc

Origin = Literal["default", "tuned", "library"]

# A rule takes a kernel, a board profile and what is decided otherwise than by default. It answers
# with a schedule, or None for "not mine".
Rule = Callable[["PrimFunc", BoardProfile, Decisions], "Schedule | None"]

# Asked in this order; the first that answers is taken.
RULES: tuple[tuple[str, Rule], ...] = (
    ("winograd tiles", winograd),
    ("phases", phases),
    ("depthwise columns", depthwise),
    ("rows", rows),
    ("columns", columns),
    ("register tile", tiled),
    ("elements", elements),
    ("parallel loops", loops),
)


@dataclass(frozen=True)
class Scheduled:
    """Where a kernel's schedule comes from.

    Attributes:
        origin: a rule's defaults, tuning, or a library of kernels.
        rule: the one that answered.
        decisions: that it took, by name.
    """

    origin: Origin
    rule: str
    decisions: Mapping[str, str] = field(default_factory=dict)


def rules_of(options: CompileOptions) -> tuple[tuple[str, Rule], ...]:
    """The rules of a level, in the order in which they are asked."""
    kinds = {"none": (), "loops": RULES[-1:], "all": RULES}
    return kinds[options.level.rules]


def schedule_module(
    module: IRModule,
    profile: BoardProfile,
    tuning_database: Path | None,
    options: CompileOptions = DEFAULTS,
) -> tuple[IRModule, dict[str, Scheduled]]:
    """Give every kernel its schedule: a tuned one where the database has it, else a rule's.

    Returns:
        the module, and by each kernel's name where its schedule comes from.
    """
    from tvm import s_tir, tirx

    scheduled: dict[str, Scheduled] = {}
    rules = rules_of(options)
    tuned = _tuned(module, profile, tuning_database)
    result = module.clone()
    for variable, function in module.functions.items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        name = variable.name_hint
        if name in tuned:
            result[variable] = tuned[name]
            scheduled[name] = Scheduled("tuned", "MetaSchedule")
            continue
        scheduled[name] = Scheduled("default", "none")
        for title, rule in rules:
            decisions = Decisions()
            try:
                schedule = rule(function, profile, decisions)
            except s_tir.ScheduleError:
                continue  # this kernel has a form that the rule did not foresee
            if schedule is not None:
                result[variable] = schedule.mod["main"].with_attrs(function.attrs)
                scheduled[name] = Scheduled("default", title, decisions.taken)
                break
    return result, scheduled


def _tuned(
    module: IRModule, profile: BoardProfile, tuning_database: Path | None
) -> dict[str, PrimFunc]:
    """Kernels that the tuning database has a schedule for."""
    if tuning_database is None:
        return {}
    quick_frames()
    from tvm import tirx
    from tvm.s_tir import meta_schedule
    from tvm.s_tir.meta_schedule.tune_context import _normalize_mod

    from edgetvm.compile.target import target_for

    target = target_for(profile)
    database = meta_schedule.database.JSONDatabase(work_dir=str(tuning_database))
    found = {}
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            name = variable.name_hint
            # Kernels are tuned over whole tensors, wherever those lie in this model.
            whole = without_gaps(function)
            schedule = database.query_schedule(_normalize_mod(whole), target, name)
            if schedule is not None:
                placed = over(schedule.mod["main"], function.params)
                found[name] = placed.with_attrs(function.attrs)
    return found
