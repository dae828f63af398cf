"""Model and boards in, trials and tuned schedules out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from edgetvm.base.errors import BoardError
from edgetvm.base.steps import step, warn
from edgetvm.boards.profile import BoardProfile
from edgetvm.boards.roofline import Roofline, roofline_of
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.farm.inventory import Board
from edgetvm.models.model import Model
from edgetvm.tune.allocation import TaskState
from edgetvm.tune.asked import Search
from edgetvm.tune.budget import Budget
from edgetvm.tune.building import Builder, LocalBuilder
from edgetvm.tune.cost_model import CostModel
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.final import Final, Judges
from edgetvm.tune.jobs import How
from edgetvm.tune.progress import Progress
from edgetvm.tune.records import Conditions
from edgetvm.tune.resuming import run_of
from edgetvm.tune.running import BoardRunner, Runner
from edgetvm.tune.search import Loop
from edgetvm.tune.tasks import tasks_of, variants
from edgetvm.tune.transfer import learn_from_others
from edgetvm.tune.verdicts import Tuned, TunedKernel


def conditions_of(profile: BoardProfile, options: CompileOptions = DEFAULTS) -> Conditions:
    """Under which conditions trials are kept.

    Args:
        profile: of the board; this machine's has the cores that the process may use.
        options: how the model is compiled.
    """
    return Conditions(profile.name, profile.architecture, options.opt_level, profile.cores)


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
    cost_model, how = CostModel(), how or How()
    roofline = roofline or roofline_of(profile)
    runners = [(estimator or BoardRunner)(one) for one in boards]
    with ExitStack() as open_:
        # First of all: these processes take seconds to be ready.
        made = open_.enter_context(closing((builder or _local_builder)()))
        for one in runners:
            open_.callback(one.close)
            one.begin()
        with step("find what to tune") as this:
            tasks = tasks_of(model, profile, options)
            this.detail = f"{len(tasks.tasks)} kernels"
        what = f"{model.provenance.sha256} {options}"
        run = run_of(database, what, conditions, budget, resume)
        if any(one.shares_cores for one in boards) and database.is_another_at_work(run, conditions):
            warn(
                "another process tunes on this machine too: each disturbs the other's times; let "
                "one end before the other begins"
            )
        seeds = learn_from_others(cost_model, [database, *sources], tasks, conditions)
        search = Search(
            tasks, profile, options, runners, roofline, conditions, how, budget,
            variants(model, profile, options, tasks),
            seeds,
        )  # fmt: skip
        loop = Loop(search, database, made, cost_model, run, told)
        with step(f"tune on {', '.join(sorted({one.name for one in boards}))}") as this:
            progress = loop.run()
            this.detail = f"{progress.trials} trials"
        judges = Judges(loop.standing or runners, made)
        with step("compare with the defaults") as this:
            final = Final(search, database, made, run, judges)
            final.compare(loop.states.values(), this.advance)
        database.finish_run(run)
    verdicts = tuple(_verdict(one, final, roofline) for one in loop.states.values())
    return Tuned(progress.trials, verdicts, progress, judges.boards)


def _local_builder() -> Builder:
    return LocalBuilder(len(os.sched_getaffinity(0)))


def _verdict(state: TaskState, final: Final, roofline: Roofline) -> TunedKernel:
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
