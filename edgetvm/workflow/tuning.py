"""Model and boards in, tuned schedules out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from edgetvm.base.errors import BoardError, TrackerUnreachableError, UsageError
from edgetvm.base.steps import note, step, warn
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.boards.roofline import Roofline, roofline_of
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.estimate.estimating import calibrated, estimate_model
from edgetvm.estimate.runner import EstimateRunner
from edgetvm.farm.governing import governed
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.memory_rate import roofline_on
from edgetvm.farm.session import connect
from edgetvm.farm.standing_boards import all_standing, is_there
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.tune.budget import Budget
from edgetvm.tune.building import Builder
from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.explaining import Explained, explain_task
from edgetvm.tune.jobs import How
from edgetvm.tune.progress import Progress
from edgetvm.tune.tuning import conditions_of, tune_model
from edgetvm.workflow.estimating import code_of
from edgetvm.workflow.layouts import choose_layout
from edgetvm.workflow.subject import Subject
from edgetvm.workflow.tuned_models import Outcome, confirm

# What stands for a board in records of estimates.
_ESTIMATE = "estimate"


def tune(
    subject: Subject,
    boards: Sequence[Board] = (LOCAL,),
    budget: Budget = Budget(),  # noqa: B008 - frozen
    database: Path | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    builder: Callable[[], Builder] | None = None,
    sources: Sequence[Path] = (),
    how: How | None = None,
    told: Callable[[Progress], None] | None = None,
    resume: bool = False,
    wait_s: float = WAIT_S,
) -> Outcome:
    """Search schedules for a model on boards of one profile, all at once.

    The layout of the whole model is measured first, on one board, unless one is forced. A board
    that is not there may come later, and one that goes leaves the search to the others.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        boards: from `edgetvm.farm`; this machine without them.
        budget: when to stop.
        database: file of the trials; the user's own without it.
        options: how the model is compiled.
        builder: makes the builder of candidates; local processes without it.
        sources: other databases to learn from.
        how: candidates are timed.
        told: is called with the progress.
        resume: refuse to begin a new run.
        wait_s: for the first board of a farm, where others have them all.

    Raises:
        BoardBusyError: others have all boards of a farm.
        UsageError: there is no run to resume, the boards are of several profiles, or the level asks
            for small code.
        ModelError, CompileError: the model cannot be built.
        TrackerUnreachableError: no board's tracker answers.
        BoardError: a board failed for good.
        MissingToolError: xgboost is not installed, or the builders are gone.
        StorageError: a database cannot be read or written.
    """
    _check_fast(options)
    profile = load_profile(_one_profile(boards))
    model = subject.load()
    with ExitStack() as open_:
        mine = open_.enter_context(TuningDatabase(database or default_database()))
        others = [open_.enter_context(TuningDatabase(one, must_exist=True)) for one in sources]
        up = open_.enter_context(all_standing(boards, wait_s, f"tune {subject.name}"))
        open_.enter_context(governed(up))
        first = _first_there(up)
        choose_layout(subject, model, first, mine, options)
        layouts = TunedSchedules(layouts=mine.layouts(conditions_of(profile, options)))
        tuned = tune_model(
            model, profile, up, mine, budget,
            layouts.options_for(model.provenance.sha256, options),
            builder=builder, sources=others, how=how, told=told, resume=resume,
            roofline=_roofline(first, profile),
        )  # fmt: skip
        return confirm(subject, model, tuned.boards[0], mine, tuned, options)


def tune_estimated(
    subject: Subject,
    profile: BoardProfile,
    budget: Budget = Budget(),  # noqa: B008 - frozen
    database: Path | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    builder: Callable[[], Builder] | None = None,
    sources: Sequence[Path] = (),
    told: Callable[[Progress], None] | None = None,
    resume: bool = False,
) -> Outcome:
    """Search schedules by estimates for one core, before there is a board.

    What is found is kept apart from what boards measure, and is no schedule that models are
    compiled with. A later search on a board measures the best of it first.

    Args:
        profile: that is estimated for.
        subject, budget, database, options, builder, sources, told, resume: as for `tune`.

    Raises:
        UsageError: there is no run to resume, or the level asks for small code.
        NotFoundError: the profile does not tell how its core is priced.
        MissingToolError: QEMU or LLVM's programs are not installed.
        others: as `tune`.
    """
    _check_fast(options)
    priced = calibrated(profile)
    model = subject.load()
    processes = len(os.sched_getaffinity(0))
    boards = [Board(_ESTIMATE, profile.name)] * processes
    with ExitStack() as open_:
        mine = open_.enter_context(TuningDatabase(database or default_database()))
        others = [open_.enter_context(TuningDatabase(one, must_exist=True)) for one in sources]
        tuned = tune_model(
            model, profile, boards, mine, budget, options,
            builder=builder, sources=others, told=told, resume=resume,
            estimator=lambda board: EstimateRunner(board, priced),
            roofline=roofline_of(priced, threads=1),
        )  # fmt: skip
        conditions = replace(conditions_of(profile, options), estimated=True)
        schedules = mine.schedules(conditions)
    default_ms, tuned_ms = (
        estimate_model(code_of(model, profile, one, options), priced).whole.ms
        for one in (UNTUNED, schedules)
    )
    return Outcome(tuned, default_ms, tuned_ms, estimated=True)


def _check_fast(options: CompileOptions) -> None:
    if options.level.small:
        raise UsageError(
            "tuning searches for fast kernels, and -Os asks for small ones",
            mend="tune at another level",
        )


def _one_profile(boards: Sequence[Board]) -> str:
    """The profile of all boards: what is fast on one kind need not be on another."""
    profiles = sorted({board.profile for board in boards})
    if len(profiles) > 1:
        raise UsageError(
            f"the boards are of several profiles: {', '.join(profiles)}",
            mend=f"tune for one after the other: --device profile={profiles[0]}",
        )
    return profiles[0]


def _first_there(boards: Sequence[Board]) -> Board:
    """The first board that is there; says which are not. The first of all where none is.

    Raises:
        TrackerUnreachableError: no board's tracker answers, and none is a farm's, which comes back.
    """
    there = [one for one in boards if is_there(one)]
    if not there and all(one.hand is None for one in boards):
        _ask_trackers(boards)
    does = "begins without it" if there else "waits for it"
    for one in boards:
        if one not in there:
            warn(f"{one.name}: its server is not registered with its tracker: {does}")
    return (there or boards)[0]


def _ask_trackers(boards: Sequence[Board]) -> None:
    """Raise what the first tracker's silence comes from, where none answers."""
    silent = []
    for tracker in {one.tracker for one in boards if one.tracker is not None}:
        try:
            registered_keys(tracker)
        except TrackerUnreachableError as error:
            silent.append(error)
        else:
            return
    raise silent[0]


def _roofline(board: Board, profile: BoardProfile) -> Roofline:
    """As it is measured on a board; by the profile where that fails, for nothing rests on it."""
    try:
        with step("measure the memory") as this, connect(board) as session:
            found = roofline_on(session, profile)
            this.detail = f"{found.memory_gbs:.3g} GB/s" if found.memory_gbs else "not known"
    except BoardError as error:
        warn(f"how fast {board.name} reads its memory is not known: {error.what}")
        return roofline_of(profile)
    return found


def tuned_schedules(
    profile: BoardProfile,
    options: CompileOptions = DEFAULTS,
    database: Path | None = None,
) -> TunedSchedules:
    """What tuning has found so far for a profile and level.

    Args:
        profile: of the board.
        options: how the model will be compiled.
        database: file of the trials; the user's own without it.

    Raises:
        StorageError: there is no such file.
    """
    path = database or default_database()
    with TuningDatabase(path, must_exist=True) as opened:
        found = opened.schedules(conditions_of(profile, options))
    if found == UNTUNED:
        note(f"{path} has no schedule that beats a default one for {profile.name}")
        return UNTUNED
    return found


def explain(
    subject: Subject,
    profile: BoardProfile,
    kernel: str,
    database: Path | None = None,
    options: CompileOptions = DEFAULTS,
) -> Explained:
    """The schedule that is taken now for one kernel of a model.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        profile: that was tuned for.
        kernel: its name.
        database: file of the trials; the user's own without it.
        options: how the model is compiled.

    Raises:
        UsageError: the model has no such kernel.
        ModelError, CompileError: the model cannot be built.
        StorageError: there is no such database.
    """
    with TuningDatabase(database or default_database(), must_exist=True) as opened:
        return explain_task(subject.load(), profile, opened, kernel, options)
