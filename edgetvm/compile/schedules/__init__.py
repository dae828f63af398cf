"""Default schedules: small rules, asked in order, and the record of which one answered."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Literal

from edgetvm.base.errors import CompileError, UsageError
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.schedules.depthwise import depthwise
from edgetvm.compile.schedules.loops import loops
from edgetvm.compile.schedules.phases import phases
from edgetvm.compile.schedules.tiled import tiled
from edgetvm.compile.schedules.traces import replayed
from edgetvm.compile.schedules.winograd import winograd
from edgetvm.compile.schedules.written import columns, elements, rows
from edgetvm.compile.tuned import NO_RULE, UNTUNED, KernelChoice, TunedSchedules, workload_key

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


_PLUGINS = "edgetvm.schedule_rules"


@functools.cache
def all_rules() -> tuple[tuple[str, Rule], ...]:
    """The rules that installed packages bring, by the name of their entry points, then ours.

    Raises:
        CompileError: a package's rule cannot be loaded, or has the title of one of ours.
    """
    brought = []
    for entry in entry_points(group=_PLUGINS):
        if entry.name in dict(RULES):
            raise CompileError(
                f"a schedule rule is called {entry.name!r}, as one of edgetvm's own",
                where=f"entry point {entry.value}",
                mend="rename it",
            )
        try:
            brought.append((entry.name, entry.load()))
        except Exception as error:  # whatever its module does
            raise CompileError(
                f"the schedule rule {entry.name!r} cannot be loaded: {error}",
                where=f"entry point {entry.value}",
                mend="mend or uninstall the package that brings it",
            ) from error
    return (*brought, *RULES)


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
    kinds = {"none": (), "loops": RULES[-1:]}
    return kinds[options.level.rules] if options.level.rules in kinds else all_rules()


def schedule_module(
    module: IRModule,
    profile: BoardProfile,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
) -> tuple[IRModule, dict[str, Scheduled]]:
    """Give every kernel its schedule: a tuned one where there is one, else a rule's default.

    Returns:
        the module, and by each kernel's name where its schedule comes from.
    """
    from tvm import tirx

    scheduled: dict[str, Scheduled] = {}
    result = module.clone()
    for variable, function in module.functions.items():
        if not isinstance(function, tirx.PrimFunc):
            continue
        choice = tuned.kernels.get(workload_key(function)) if tuned.kernels else None
        made, told = _schedule(function, profile, choice, options)
        scheduled[variable.name_hint] = told
        if made is not None:
            result[variable] = made
    return result, scheduled


def _schedule(
    function: PrimFunc, profile: BoardProfile, choice: KernelChoice | None, options: CompileOptions
) -> tuple[PrimFunc | None, Scheduled]:
    if choice is not None:
        made = scheduled_as(function, profile, choice)
        if made is not None:
            return made, Scheduled("tuned", choice.rule, choice.decisions)
    for title, rule in rules_of(options):
        decisions = Decisions()
        made = apply_rule(rule, function, profile, decisions)
        if made is not None:
            return made, Scheduled("default", title, decisions.taken)
    return None, Scheduled("default", NO_RULE)


def apply_rule(
    rule: Rule, function: PrimFunc, profile: BoardProfile, decisions: Decisions
) -> PrimFunc | None:
    """The kernel as a rule schedules it; None where the rule does not."""
    from tvm import s_tir

    try:
        schedule = rule(function, profile, decisions)
    except s_tir.ScheduleError:
        return None  # this kernel has a form that the rule did not foresee
    return None if schedule is None else schedule.mod["main"].with_attrs(function.attrs)


def scheduled_as(
    function: PrimFunc,
    profile: BoardProfile,
    choice: KernelChoice,
    decisions: Decisions | None = None,
) -> PrimFunc | None:
    """The kernel as tuning chose; None where that is no choice for it any more.

    Args:
        decisions: those of the choice; learns all that were taken.
    """
    if choice.trace is not None:
        return replayed(function, choice.trace)
    rule = dict(all_rules()).get(choice.rule)
    if rule is None:
        return None
    try:
        taken = Decisions(choice.decisions) if decisions is None else decisions
        return apply_rule(rule, function, profile, taken)
    except UsageError:
        return None
