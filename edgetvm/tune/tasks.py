"""What there is to tune in a model: its kernels, and the other forms that each may take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import Bound, Roofline
from edgetvm.compile.compiler import optimise, optimise_told
from edgetvm.compile.kernel_records import kernel_calls, operations_in
from edgetvm.compile.operations import told
from edgetvm.compile.options import CompileOptions
from edgetvm.compile.schedules import apply_rule, rules_of
from edgetvm.compile.schedules.decisions import Decisions
from edgetvm.compile.target import target_for
from edgetvm.compile.tuned import NO_RULE, OperatorChoices, workload_key
from edgetvm.models.model import Model
from edgetvm.tune.jobs import Tensor

Operators = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Form:
    """One kernel that computes a task.

    Attributes:
        workload: its key.
        kernel: unscheduled, as TVM's JSON.
        arguments: of it.
        rule: title of the schedule rule that has it; `none` where none does.
        candidates: what its decisions may be, by name.
        defaults: what they are untuned.
        operators: what was decided to get it; empty for the default form.
    """

    workload: str
    kernel: str
    arguments: tuple[Tensor, ...]
    rule: str
    candidates: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, str]
    operators: Operators

    @property
    def size(self) -> int:
        """How many schedules it has, the default included."""
        return math.prod(len(one) for one in self.candidates.values())


@dataclass(frozen=True)
class Task:
    """One kernel of the model.

    Attributes:
        name: of the kernel that the default compilation makes.
        calls: of it in a run.
        nodes: of the source, that its first call computes.
        description: its operators with their shapes.
        multiply_adds: of one call.
        moved_bytes: of one call.
        form: the default one.
    """

    name: str
    calls: int
    nodes: tuple[str, ...]
    description: str
    multiply_adds: int
    moved_bytes: int
    form: Form

    @property
    def in_floats(self) -> bool:
        """Whether it computes in floating point: no tensor of it is of 8-bit numbers."""
        return all(one.dtype not in ("int8", "uint8") for one in self.form.arguments)

    @property
    def key(self) -> str:
        """Of its default kernel."""
        return self.form.workload

    @property
    def work(self) -> int:
        """Of one call, to compare kernels before any was measured: a core multiplies about as many
        numbers as it moves bytes."""
        return self.multiply_adds + self.moved_bytes

    def bound(self, roofline: Roofline) -> Bound | None:
        """What one call can take at least."""
        return roofline.bound(self.multiply_adds, self.moved_bytes, self.in_floats)


@dataclass(frozen=True)
class Tasks:
    """The tasks of a model.

    Attributes:
        tasks: in the order of first calls.
        asked: decisions on operators as they are by default, by operator key.
    """

    tasks: tuple[Task, ...]
    asked: Mapping[str, Decisions]


def tasks_of(model: Model, profile: BoardProfile, options: CompileOptions) -> Tasks:
    """The kernels of a model, each once, but those whose shapes are not known.

    Raises:
        CompileError: see `edgetvm.compile.compiler.optimise`.
    """
    choices = OperatorChoices()
    module, operations = optimise_told(model, profile, options, choices)
    found: dict[str, Task] = {}
    for name, calls in kernel_calls(module, model.nodes).items():
        form = form_of(module[name], profile, options, {})
        if form is None:
            continue
        task = found.get(form.workload)
        if task is not None:
            found[form.workload] = replace(task, calls=task.calls + len(calls.nodes))
            continue
        known = operations_in(calls, operations)
        found[form.workload] = Task(
            name,
            len(calls.nodes),
            calls.nodes[0],
            told(known),
            sum(one.multiply_adds for one in known),
            sum(_bytes(one) for one in form.arguments),
            form,
        )
    return Tasks(tuple(found.values()), choices.asked)


def variants(
    model: Model, profile: BoardProfile, options: CompileOptions, tasks: Tasks
) -> Iterator[dict[str, Form]]:
    """Other forms of the tasks, by task key, those nearest to the default first.

    The model is optimised anew for each: all operators are decided one step further away at once.
    """
    keys = {task.nodes: task for task in tasks.tasks}
    steps = max((_alternatives(one) for one in tasks.asked.values()), default=0)
    for step in range(steps):
        wanted = {key: _decided(one, step) for key, one in tasks.asked.items()}
        wanted = {key: one for key, one in wanted.items() if one}
        choices = OperatorChoices(wanted)
        module = optimise(model, profile, options, choices)
        nodes_of = {
            key: {model.nodes.get(one, "") for one in sources}
            for key, sources in choices.sources.items()
        }
        found = {}
        for name, calls in kernel_calls(module, model.nodes).items():
            task = keys.get(calls.nodes[0])
            # What was decided elsewhere is no part of this form: it would come with it.
            own = {key: one for key, one in wanted.items() if nodes_of[key] & {*calls.nodes[0]}}
            form = form_of(module[name], profile, options, own) if own else None
            if task is not None and form is not None and form.workload != task.key:
                found[task.key] = form
        yield found


def _alternatives(decisions: Decisions) -> int:
    return sum(len(one) - 1 for one in decisions.candidates.values())


def _decided(decisions: Decisions, step: int) -> dict[str, str]:
    """The alternative of that number: one decision differs, by little for small numbers."""
    ordered = []
    for name, candidates in decisions.candidates.items():
        at = candidates.index(decisions.taken[name])
        others = sorted(
            (one for one in candidates if one != decisions.taken[name]),
            key=lambda one: abs(candidates.index(one) - at),
        )
        ordered.append([(name, one) for one in others])
    turns = [pair for turn in _in_turn(ordered) for pair in turn]
    return dict([turns[step]]) if step < len(turns) else {}


def _in_turn(lists: list[list[tuple[str, str]]]) -> Iterator[list[tuple[str, str]]]:
    for at in range(max(map(len, lists), default=0)):
        yield [one[at] for one in lists if at < len(one)]


def form_of(
    function: Any, profile: BoardProfile, options: CompileOptions, operators: Operators
) -> Form | None:
    """A kernel and the rule that has it; None where a shape is not known, or an argument is no
    tensor."""
    from tvm import ir

    arguments = _arguments(function)
    if arguments is None:
        return None
    rule, decisions = NO_RULE, Decisions()
    with target_for(profile, options):
        for title, one in rules_of(options):
            decisions = Decisions()
            if apply_rule(one, function, profile, decisions) is not None:
                rule = title
                break
    return Form(
        workload_key(function),
        str(ir.save_json(function)),
        arguments,
        rule,
        decisions.candidates,
        decisions.taken,
        operators,
    )


def _arguments(function: Any) -> tuple[Tensor, ...] | None:
    """None where a shape is not known, or an argument is no tensor."""
    found = []
    for one in function.params:
        shape = getattr(one.ty, "shape", None)
        if shape is None:
            return None
        try:
            found.append(Tensor(tuple(int(size) for size in shape), str(one.ty.dtype)))
        except TypeError:
            return None
    return tuple(found)


def _bytes(tensor: Tensor) -> int:
    import numpy as np

    return math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
