"""Model and boards in, trials and tuned schedules out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from edgetvm.base.errors import BoardError, MissingToolError, UsageError
from edgetvm.base.steps import note, step, warn
from edgetvm.base.units import format_duration
from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import Bound, Roofline, gflops_of, roofline_of, share_of
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.farm.inventory import Board
from edgetvm.models.model import Model
from edgetvm.tune.allocation import TaskState, default_choice
from edgetvm.tune.building import Builder, BuildJob, Built, LocalBuilder
from edgetvm.tune.cost_model import CostModel, learn_all
from edgetvm.tune.database import MARGIN, TuningDatabase
from edgetvm.tune.progress import Progress
from edgetvm.tune.records import Conditions, Outcome, Trial
from edgetvm.tune.running import BoardRunner, How, Loadable, Ran, RunJob, Runner, Tensor
from edgetvm.tune.search import Budget, Loop, Search, all_gone, build_failure, undisturbed
from edgetvm.tune.space import candidate_of
from edgetvm.tune.tasks import Tasks, tasks_of, variants

# In a final comparison: candidates of a task, turns with the default, boards that must agree. What
# loses in the first few turns gets no more.
_FINALISTS = 2
_ROUNDS = (2, 6)
_JUDGES = 2
# What became of a candidate that looked faster than the default while it was searched.
Fate = Literal[
    "taken",
    "not compared: others looked faster still",
    "slower than the default in turns with it",
    "less than 3 % faster in turns with the default",
    "slower than another candidate",
    "wrong or failed when it was compared",
    "taken back: the whole model was no faster with it",
]
# Answers that differ by more than this part of the largest value are wrong.
_WRONG = 1e-3


@dataclass(frozen=True)
class TunedKernel:
    """The verdict on one kernel.

    Attributes:
        key: of its task in the database.
        name: of the kernel that the default compilation makes.
        description: its operators with their shapes.
        calls: in a run of the model.
        multiply_adds: of one call.
        default_ms: latency of one call untuned.
        best_ms: with the schedule that is taken now; the default's where none beats it.
        trials: measured, of all searches.
        fates: of its candidates that looked faster and were not judged before.
        bound: what it can take at least; None where that is not known.
    """

    key: str
    name: str
    description: str
    calls: int
    multiply_adds: int
    default_ms: float
    best_ms: float
    trials: int
    fates: tuple[Fate, ...] = ()
    bound: Bound | None = None

    @property
    def of_bound(self) -> float | None:
        """See `edgetvm.boards.roofline.share_of`."""
        return share_of(self.bound, self.best_ms)

    @property
    def gain(self) -> float:
        """The default's latency over the one that is taken."""
        return self.default_ms / self.best_ms if self.best_ms else 1.0

    @property
    def gflops(self) -> float:
        """With the schedule that is taken, a multiply-add counted as two operations."""
        return gflops_of(self.multiply_adds, self.best_ms)

    @property
    def saved_ms(self) -> float:
        """Of a run of the model, as far as kernels by themselves tell."""
        return self.calls * (self.default_ms - self.best_ms)


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Attributes:
        trials: of this run, failed ones included.
        kernels: of the model.
        progress: at its end.
        boards: that were there to the end.
    """

    trials: int
    kernels: tuple[TunedKernel, ...]
    progress: Progress
    boards: tuple[Board, ...] = ()

    @property
    def default_ms(self) -> float:
        """All kernels of a run with default schedules."""
        return sum(one.calls * one.default_ms for one in self.kernels)

    @property
    def best_ms(self) -> float:
        """All kernels of a run with the schedules that are taken."""
        return sum(one.calls * one.best_ms for one in self.kernels)

    @property
    def fates(self) -> Mapping[Fate, int]:
        """What became of the candidates that looked faster, of all kernels."""
        return Counter(fate for one in self.kernels for fate in one.fates)


def conditions_of(profile: BoardProfile, options: CompileOptions = DEFAULTS) -> Conditions:
    """Under which conditions trials of a profile and level are kept."""
    return Conditions(profile.name, profile.architecture, options.opt_level)


def tune_model(
    model: Model,
    profile: BoardProfile,
    boards: Sequence[Board],
    database: TuningDatabase,
    budget: Budget,
    options: CompileOptions = DEFAULTS,
    *,
    builder: Callable[[], Builder] | None = None,
    sources: Sequence[TuningDatabase] = (),
    how: How | None = None,
    told: Callable[[Progress], None] | None = None,
    resume: bool = False,
    estimator: Callable[[Board], Runner] | None = None,
    roofline: Roofline | None = None,
) -> Tuned:
    """Search schedules for the kernels of a model on boards of one profile.

    The same call again continues a run that was stopped. What was measured is in the database at
    any moment, and the best of it serves `TuningDatabase.schedules`.

    Args:
        model: from `edgetvm.models.import_model`.
        profile: of the boards.
        boards: with trackers; their servers run the candidates.
        database: for the trials.
        budget: when to stop.
        options: how the model is compiled.
        builder: makes the builder; local processes without it.
        sources: other databases to learn from.
        how: candidates are timed.
        told: is called with the progress.
        resume: refuse to begin a new run.
        estimator: makes what estimates candidates in place of boards; trials are kept apart.
        roofline: of the boards; what the profile states without it.

    Raises:
        UsageError: there is no run to resume.
        BoardError: a board has no tracker, or all are gone for good.
        CompileError: the model cannot be compiled.
        MissingToolError: xgboost is not installed, or the builders are gone.
        StorageError: the database cannot be written.
    """
    for board in boards:
        if board.tracker is None and estimator is None:
            raise BoardError("it has no tracker", where=board.name)
    conditions = replace(conditions_of(profile, options), estimated=estimator is not None)
    runner = estimator or BoardRunner
    cost_model, how = CostModel(), how or How()
    roofline = roofline or roofline_of(profile)
    # First of all: its processes take seconds to be ready.
    with closing((builder or _local_builder)()) as made:
        with step("find what to tune") as this:
            tasks = tasks_of(model, profile, options)
            this.detail = f"{len(tasks.tasks)} kernels"
        what = f"{model.provenance.sha256} {options}"
        run = _run_of(database, what, conditions, budget, resume)
        if any(one.shares_cores for one in boards) and database.is_another_at_work(run, conditions):
            warn(
                "another process tunes on this machine too: each disturbs the other's times; let "
                "one end before the other begins"
            )
        seeds = _learn_from_others(cost_model, [database, *sources], tasks, conditions)
        search = Search(
            tasks, profile, options, boards, roofline, conditions, how, budget,
            variants(model, profile, options, tasks),
            seeds,
            runner,
        )  # fmt: skip
        loop = Loop(search, database, made, cost_model, run, told)
        with step(f"tune on {', '.join(sorted({one.name for one in boards}))}") as this:
            progress = loop.run()
            this.detail = f"{progress.trials} trials"
        with (
            step("compare with the defaults") as this,
            closing(_Judges(loop.standing or boards, made, runner)) as judges,
        ):
            final = _Final(search, database, made, run, judges)
            final.compare(loop.states.values(), this.advance)
        database.finish_run(run)
    verdicts = tuple(_verdict(one, final, roofline) for one in loop.states.values())
    return Tuned(progress.trials, verdicts, progress, judges.boards)


def _run_of(
    database: TuningDatabase, what: str, conditions: Conditions, budget: Budget, resume: bool
) -> int:
    """The number of the run that goes on, or of a new one. No other process works on it."""
    unfinished = database.unfinished_runs(what, conditions)
    same = [run for run, of in unfinished.items() if of == str(budget)]
    for run in same:
        if database.work_on(run):
            note(
                f"goes on with the unfinished run of this command: {database.trials_in(run)} "
                f"trials, {format_duration(database.spent_s(run))} so far"
            )
            return run
    others = ", ".join(dict.fromkeys(of for of in unfinished.values() if of != str(budget)))
    if resume:
        raise _nothing_to_resume(database, budget, others, is_held=bool(same))
    if same:
        warn(
            "another process works on the run of this command now: this one begins a run of its "
            "own, and takes over what the other measures"
        )
    elif others:
        note(f"begins a run; one with another budget ({others}) is unfinished, and stays so")
    run = database.begin_run(what, conditions, str(budget))
    database.work_on(run)
    return run


def _nothing_to_resume(
    database: TuningDatabase, budget: Budget, others: str, *, is_held: bool
) -> UsageError:
    if is_held:
        return UsageError(
            f"another process works on the unfinished run of this budget ({budget}) now",
            where=str(database.path),
            mend="let it end, or leave --resume out to begin another run beside it",
        )
    other = f"; one with another budget is: {others}" if others else ""
    return UsageError(
        f"no run of this model, profile and budget ({budget}) is unfinished{other}",
        where=str(database.path),
        mend="give its budget to go on with it"
        if others
        else "leave --resume out: what was measured before is used in any case",
    )


def _local_builder() -> Builder:
    return LocalBuilder(len(os.sched_getaffinity(0)))


# Trials of other boards count less than the profile's own.
_FOREIGN = 0.3
# Choices of other databases and boards that are tried first for each task.
_SEEDS = 2


def _learn_from_others(
    model: CostModel,
    databases: Sequence[TuningDatabase],
    tasks: Tasks,
    conditions: Conditions,
) -> dict[str, list[KernelChoice]]:
    """Teach the model what is known of other kernels and boards.

    Returns:
        for tasks that were tuned elsewhere, the choices that were best there.
    """
    mine = {task.key for task in tasks.tasks}
    best: dict[str, list[Trial]] = {}
    for at, database in enumerate(databases):
        forms = database.forms()
        own = database.trials(conditions)
        # Of this database the search itself learns what it knows of its tasks.
        known = [one for one in own if at > 0 or one.task not in mine]
        foreign = database.trials_of_architecture(conditions)
        estimated = (
            [] if conditions.estimated else database.trials(replace(conditions, estimated=True))
        )
        learn_all(model, known, forms)
        learn_all(model, foreign, forms, _FOREIGN)
        for trial in (
            *(one for one in own if at > 0 or one.is_from_elsewhere),
            *foreign,
            *estimated,
        ):
            promising = trial.ratio < MARGIN or trial.is_from_elsewhere
            if promising and trial.task in mine and trial.workload == trial.task:
                best.setdefault(trial.task, []).append(trial)
    return {key: _best_choices(trials) for key, trials in best.items()}


def _best_choices(trials: list[Trial]) -> list[KernelChoice]:
    found: dict[object, KernelChoice] = {}
    for trial in sorted(trials, key=lambda one: (one.ratio, one.latency_ms)):
        found.setdefault(candidate_of(trial), trial.choice)
    return list(found.values())[:_SEEDS]


class _Judges:
    """The boards that compare: the first ones, and the next where one of these is lost."""

    def __init__(
        self, boards: Sequence[Board], builder: Builder, runner: Callable[[Board], Runner]
    ) -> None:
        self._runners, self._builder = [runner(one) for one in boards], builder
        self._names = ", ".join(one.name for one in boards)

    @property
    def boards(self) -> tuple[Board, ...]:
        """Those that were not lost."""
        return tuple(one.board for one in self._runners)

    def answers(self, job: RunJob) -> list[Ran]:
        """What each found, up to the first that found a failure.

        Raises:
            BoardGoneError: all are lost.
        """
        found: list[Ran] = []
        for runner in list(self._runners):
            ran = self._asked(runner, job)
            if ran.outcome == "board lost":
                self._runners.remove(runner)
                runner.close()
                continue
            found.append(ran)
            if ran.outcome != "ok" or len(found) == _JUDGES:
                return found
        if not found:
            raise all_gone(self._names)
        return found

    def _asked(self, runner: Runner, job: RunJob) -> Ran:
        ran = undisturbed(runner, job, self._builder)
        if ran.outcome == "board lost" and ran.begun:
            ran = undisturbed(runner, job, self._builder)  # its server was started anew
        if ran.outcome == "ok" and ran.error_ratio > _WRONG:
            return replace(ran, outcome="wrong result", error=f"off by {ran.error_ratio:.2g}")
        return ran

    def close(self) -> None:
        """Give the boards back."""
        for runner in self._runners:
            runner.close()


@dataclass(frozen=True)
class _Finalist:
    """A candidate of the final comparison; not built where its form is not known any more."""

    number: int
    trial: Trial
    arguments: tuple[Tensor, ...]
    building: Future[Built] | None


class _Final:
    """The candidates that look fastest, compared with the defaults in turns."""

    def __init__(
        self,
        search: Search,
        database: TuningDatabase,
        builder: Builder,
        run: int,
        judges: _Judges,
    ) -> None:
        self._search, self._database, self._builder, self._run = search, database, builder, run
        self._judges = judges
        self.gains: dict[str, float] = {}
        # By task: of the candidates that look faster.
        self.fates: dict[str, list[Fate]] = {}

    def compare(
        self, states: Iterable[TaskState], advance: Callable[[int, int, str], None]
    ) -> None:
        """Keep a verdict for each task whose trials are newer than its last one."""
        known = self._database.verdicts(self._search.conditions)
        worth = []
        for state in states:
            trials = self._database.numbered(self._search.conditions, state.task.key)
            winner, gain, through = known.get(state.task.key, (None, 1.0, 0))
            if state.has_default and any(number > through for number, _ in trials):
                # All of them at once: builders work while others are compared.
                promising = _promising(trials, winner)
                most = _FINALISTS + (winner is not None)
                finalists = [self._built(state, *one) for one in promising[:most]]
                self.fates[state.task.key] = [_LEFT_OUT] * len(promising[most:])
                default = self._default(state) if finalists else None
                worth.append((state, default, finalists, max(number for number, _ in trials)))
            self.gains[state.task.key] = gain
        for at, (state, default, finalists, last) in enumerate(worth):
            if default is not None:
                built = _loadable(default, state.task.form.arguments)
                state.default = built if isinstance(built, Loadable) else None
            self._decide(state, finalists, last)
            advance(at + 1, len(worth), state.task.name)

    def _default(self, state: TaskState) -> Future[Built] | None:
        """What the search has not built: it made no trial of this task, a killed one did."""
        if state.default is not None:
            return None
        search, form = self._search, state.task.form
        job = BuildJob(form.kernel, default_choice(form), search.profile, search.options)
        return self._builder.submit(job)

    def _built(self, state: TaskState, number: int, trial: Trial) -> _Finalist:
        form = state.forms.get(trial.workload)
        if form is None:
            return _Finalist(number, trial, (), None)
        search = self._search
        job = BuildJob(form.kernel, trial.choice, search.profile, search.options)
        return _Finalist(number, trial, form.arguments, self._builder.submit(job))

    def _decide(self, state: TaskState, finalists: Sequence[_Finalist], last: int) -> None:
        gains = [(one.number, self._gain(state, one)) for one in finalists]
        best, gain = None, 1.0
        for number, found in gains:
            if found is not None and found > max(gain, 1 / MARGIN):
                best, gain = number, found
        self._database.decide(self._search.conditions, state.task.key, best, gain, last)
        self.gains[state.task.key] = gain
        self.fates[state.task.key] += [_fate(found, number == best) for number, found in gains]

    def _gain(self, state: TaskState, finalist: _Finalist) -> float | None:
        """Of the default's latency over the candidate's, the least on all boards; None where it
        failed or is wrong."""
        if finalist.building is None or state.default is None:
            return None
        candidate = _loadable(finalist.building, finalist.arguments)
        if isinstance(candidate, Exception):
            self._fail(finalist.trial, *build_failure(candidate))
            return None
        same = candidate.arguments == state.default.arguments
        gain = 0.0
        for rounds in _ROUNDS:
            compared = RunJob(
                state.default, candidate, self._search.how, rounds, same,
                default_ms=state.default_ms,
            )  # fmt: skip
            answers = self._judges.answers(compared)
            if answers[-1].outcome != "ok":
                self._fail(finalist.trial, answers[-1].outcome, answers[-1].error)
                return None
            gain = min(one.default_ms / median(one.times_ms) for one in answers)
            if gain < 1:
                break
        return gain

    def _fail(self, trial: Trial, outcome: Outcome, error: str) -> None:
        failed = replace(trial, outcome=outcome, error=error, times_ms=())
        self._database.append(self._run, self._search.conditions, failed)


def _loadable(building: Future[Built], arguments: tuple[Tensor, ...]) -> Loadable | Exception:
    """What was built, or why it was not.

    Raises:
        MissingToolError: nothing can be built any more.
    """
    try:
        return Loadable(building.result().library, arguments)
    except MissingToolError:
        raise
    except Exception as error:  # whatever a build raises: see `Builder.submit`
        return error


_LEFT_OUT: Fate = "not compared: others looked faster still"


def _fate(gain: float | None, is_best: bool) -> Fate:
    if gain is None:
        return "wrong or failed when it was compared"
    if is_best:
        return "taken"
    if gain < 1:
        return "slower than the default in turns with it"
    if gain <= 1 / MARGIN:
        return "less than 3 % faster in turns with the default"
    return "slower than another candidate"


def _promising(trials: list[tuple[int, Trial]], winner: int | None) -> list[tuple[int, Trial]]:
    """The winner so far and those that beat the default, each candidate once, fastest first."""
    wrong = {candidate_of(trial) for _, trial in trials if trial.outcome == "wrong result"}
    ordered = sorted(trials, key=lambda one: (one[0] != winner, one[1].ratio))
    found: dict[object, tuple[int, Trial]] = {}
    for number, trial in ordered:
        beats = not trial.is_default and (trial.ratio < MARGIN or number == winner)
        if beats and candidate_of(trial) not in wrong:
            found.setdefault(candidate_of(trial), (number, trial))
    return list(found.values())


def _verdict(state: TaskState, final: _Final, roofline: Roofline) -> TunedKernel:
    gain = final.gains.get(state.task.key, 1.0)
    task = state.task
    best_ms = state.default_ms / gain
    return TunedKernel(
        task.key,
        task.name,
        task.description,
        task.calls,
        task.multiply_adds,
        state.default_ms,
        best_ms,
        state.trials,
        tuple(final.fates.get(task.key, ())),
        task.bound(roofline),
    )
