"""What won for one kernel: its decisions, and its scheduled form as TVMScript."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgetvm.base.errors import UsageError
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.models.model import Model
from edgetvm.tune.building import scheduled_kernel
from edgetvm.tune.choosing import best_of
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Trial
from edgetvm.tune.tasks import Task, Tasks, tasks_of
from edgetvm.tune.tuning import conditions_of


@dataclass(frozen=True)
class Decision:
    """One choice: what was taken, what untuned compiling takes, and among which."""

    name: str
    taken: str
    default: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Explained:
    """The schedule of one kernel.

    Attributes:
        name: of the kernel that the default compilation makes.
        description: its operators with their shapes.
        origin: `tuned`, or `default` where no trial beats that.
        rule: title of the schedule rule.
        decisions: those on its operators first.
        script: the scheduled kernel as TVMScript.
    """

    name: str
    description: str
    origin: str
    rule: str
    decisions: tuple[Decision, ...]
    script: str


def explain_task(
    model: Model,
    profile: BoardProfile,
    database: TuningDatabase,
    name: str,
    options: CompileOptions = DEFAULTS,
) -> Explained:
    """The schedule that is taken now for a kernel. No board is needed.

    Args:
        model: from `edgetvm.models.import_model`.
        profile: that was tuned for.
        database: of the trials.
        name: of the kernel.
        options: how the model is compiled.

    Raises:
        UsageError: the model has no such kernel.
        CompileError: the model cannot be compiled.
    """
    conditions = conditions_of(profile, options)
    tasks = tasks_of(model, profile, options)
    task = _named(tasks, name)
    verdict = database.verdicts(conditions).get(task.key)
    best = best_of(database.numbered(conditions, task.key), verdict)
    choice = best.choice if best is not None else KernelChoice(task.form.rule)
    kernel = task.form.kernel
    if best is not None and best.workload != task.key:
        kernel = database.kernel(best.workload) or kernel
    function, decisions = scheduled_kernel(kernel, choice, profile, options)
    kept = {
        one: Decision(one, taken, task.form.defaults.get(one, ""), decisions.candidates[one])
        for one, taken in decisions.taken.items()
    }
    return Explained(
        task.name,
        task.description,
        "default" if best is None else "tuned",
        choice.rule,
        (*_on_operators(tasks, best), *kept.values()),
        function.script(),
    )


def _named(tasks: Tasks, name: str) -> Task:
    names: Mapping[str, Task] = {one.name: one for one in tasks.tasks}
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    known = f"did you mean {near[0]!r}?" if near else f"its kernels: {', '.join(names)}"
    raise UsageError(f"the model has no kernel {name!r}", where="--explain", mend=known)


def _on_operators(tasks: Tasks, best: Trial | None) -> Iterator[Decision]:
    for key, wanted in best.operators.items() if best is not None else ():
        asked = tasks.asked.get(key)
        for name, taken in wanted.items():
            default = asked.taken.get(name, "") if asked is not None else ""
            candidates = asked.candidates.get(name, ()) if asked is not None else ()
            yield Decision(name, taken, default, candidates)
