"""Which task gets the next trials: where the model spends its time, and where it still gains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edgetvm.boards.roofline import Roofline, gflops_of
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune.generic import Draw, GenericSpace, is_uncovered
from edgetvm.tune.jobs import Loadable
from edgetvm.tune.progress import TaskProgress
from edgetvm.tune.records import Trial
from edgetvm.tune.space import Key, Space, candidate_of, key_of
from edgetvm.tune.tasks import Form, Task

# Candidates that a task is given at a time.
BATCH = 8
# What a task is expected to gain at first, and what is left of that after a batch without a gain.
_HOPE = 0.3
_FADING = 0.75
# A gain that counts.
_GAIN = 0.01
# Batches without a gain after which a task's curve is flat.
_FLAT = 8
# A task below this share of the model's time gets no trial.
_LEAST_SHARE = 0.001


@dataclass
class TaskState:
    """What a search knows of a task.

    Attributes:
        task: the task.
        forms: that it may take, by workload key; the default one first.
        spaces: of the forms.
        draw: draws from MetaSchedule's space, for forms that no rule covers.
        default: its default kernel, once it is built.
        default_asked: whether it is built, or will be.
        default_failed: whether it cannot be built.
        default_ms: latency of one call untuned.
        best: the fastest trial.
        to_beat: latency of the second fastest over the default's: one that was measured too fast by
            chance must not cut all later ones short.
        trials: made, of all searches.
        dry: batches in a row that gained nothing.
        waiting: candidates that are being built or run.
    """

    task: Task
    forms: dict[str, Form]
    spaces: list[Space | GenericSpace]
    draw: Draw
    default: Loadable | None = None
    default_asked: bool = False
    default_failed: bool = False
    default_ms: float = 0.0
    best: Trial | None = None
    to_beat: float = 1.0
    trials: int = 0
    dry: float = 0.0
    waiting: int = 0
    _known: set[Key] = field(default_factory=set)

    @classmethod
    def of(cls, task: Task, draw: Draw) -> TaskState:
        """A task of which nothing is known."""
        return cls(task, {task.key: task.form}, _spaces(task.form, draw), draw)

    def add_form(self, form: Form) -> None:
        """Another way to compute it."""
        if form.workload in self.forms:
            return
        self.forms[form.workload] = form
        for space in _spaces(form, self.draw):
            space.leave_out(self._known)
            self.spaces.append(space)
        self.dry = min(self.dry, _FLAT - 2)

    def know(self, trial: Trial) -> None:
        """Take a trial of this search, or of one before, into account."""
        self.trials += 1
        self._known.add(candidate_of(trial))
        if trial.is_default:
            self.default_ms = trial.latency_ms if trial.outcome == "ok" else self.default_ms
            return
        before = self.best.ratio if self.best is not None else 1.0
        if trial.ratio < before:
            self.best, self.to_beat = trial, before
        elif trial.ratio < self.to_beat:
            self.to_beat = trial.ratio
        gained = trial.ratio < before * (1 - _GAIN)
        self.dry = 0.0 if gained else self.dry + 1 / BATCH

    def take(self, choice: KernelChoice) -> bool:
        """Take a choice of the default form out of what is left; whether it was there."""
        if choice.trace is not None:
            return self._take_trace(choice)
        space = self.spaces[0]
        before = space.left
        space.leave_out([key_of(self.task.key, choice)])
        return space.left < before

    def _take_trace(self, choice: KernelChoice) -> bool:
        """Traces are drawn, not listed: any that was not tried is left."""
        key = key_of(self.task.key, choice)
        for space in self.spaces:
            space.leave_out([key])
        return key not in self._known

    def leave_out_known(self) -> None:
        """Propose nothing that was tried in a search before."""
        for space in self.spaces:
            space.leave_out(self._known)

    @property
    def left(self) -> int:
        """Candidates that were not tried."""
        return sum(one.left for one in self.spaces)

    @property
    def is_drawing(self) -> bool:
        """Whether more candidates are to come."""
        return any(isinstance(one, GenericSpace) and one.is_drawing for one in self.spaces)

    @property
    def has_default(self) -> bool:
        """Whether there is a yardstick, or can be: it was measured before."""
        return self.default is not None or (self.default_ms > 0 and not self.default_failed)

    @property
    def best_ms(self) -> float:
        """Latency of one call with the best schedule, on the default's scale."""
        if self.best is None or self.best.ratio >= 1:
            return self.default_ms
        return self.best.ratio * self.default_ms

    @property
    def weight_ms(self) -> float:
        """Time of all calls in a run of the model."""
        return self.task.calls * self.best_ms

    @property
    def is_flat(self) -> bool:
        """Whether it has not gained for long."""
        return self.dry >= _FLAT

    @property
    def expected_ms(self) -> float:
        """What a run of the model may gain by its next trials."""
        return float(self.weight_ms * _HOPE * _FADING**self.dry)

    def progress(self, total_ms: float, roofline: Roofline) -> TaskProgress:
        """How far it is, in a model that takes so long untuned."""
        task, best_ms = self.task, self.best_ms
        return TaskProgress(
            task.name,
            task.description,
            task.calls,
            task.calls * self.default_ms / total_ms,
            self.trials,
            self.default_ms,
            best_ms,
            gflops_of(task.multiply_adds, best_ms),
            task.bound(roofline),
            self.left,
        )

    def next_space(self) -> Space | GenericSpace:
        """The space to draw from: the least explored that has something left."""
        return max((one for one in self.spaces if one.left), key=lambda one: one.left)


def _spaces(form: Form, draw: Draw) -> list[Space | GenericSpace]:
    own: list[Space | GenericSpace] = [Space(form)]
    return [*own, GenericSpace(form, draw)] if is_uncovered(form) else own


def next_task(states: Iterable[TaskState], until_flat: bool = True) -> TaskState | None:
    """The task whose next trials may gain most; None where none is worth any."""
    known = list(states)
    total_ms = sum(one.weight_ms for one in known)
    open_ = [
        one
        for one in known
        if one.left
        and one.has_default
        and one.weight_ms >= _LEAST_SHARE * total_ms
        and not (until_flat and one.is_flat)
    ]
    return max(open_, key=lambda one: one.expected_ms / (1 + one.waiting / BATCH), default=None)


def default_choice(form: Form) -> KernelChoice:
    """The untuned schedule of a form."""
    return KernelChoice(form.rule)
