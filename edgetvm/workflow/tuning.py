"""Model and boards in, tuned schedules out."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from edgetvm.base.errors import BoardError, NumericError, TrackerUnreachableError, UsageError
from edgetvm.base.steps import note, step, warn
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.boards.roofline import Roofline, roofline_of
from edgetvm.compile.options import DEFAULTS, LAYOUTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.estimate.estimating import calibrated, estimate_model
from edgetvm.estimate.runner import EstimateRunner
from edgetvm.farm.governing import governed
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.memory_rate import roofline_on
from edgetvm.farm.session import BoardSession, connect
from edgetvm.farm.standing_boards import all_standing, is_there
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.measure.deployment import deploy
from edgetvm.package.archive import Package
from edgetvm.tune.building import Builder
from edgetvm.tune.database import MARGIN, TuningDatabase, default_database
from edgetvm.tune.explaining import Explained, explain_task
from edgetvm.tune.progress import Progress
from edgetvm.tune.running import How
from edgetvm.tune.search import Budget
from edgetvm.tune.tuning import Fate, Tuned, TunedKernel, conditions_of, tune_model
from edgetvm.workflow.build import build
from edgetvm.workflow.estimating import code_of
from edgetvm.workflow.subject import Subject

# Of the comparison of whole models: turns, runs in each, and seconds that those may take; the first
# runs of a turn find cold caches.
_TURNS = 5
_RUNS = 200
_TURN_S = 2.0
_WARM = 5
# What stands for a board in records of estimates.
_ESTIMATE = "estimate"


@dataclass(frozen=True)
class Outcome:
    """What tuning a model came to.

    Attributes:
        tuned: the trials and what is taken of them.
        default_ms, tuned_ms: median latency of the whole model, compared in turns on one board.
        estimated: whether all of it was estimated, and nothing measured.
    """

    tuned: Tuned
    default_ms: float
    tuned_ms: float
    estimated: bool = False

    @property
    def has_gained(self) -> bool:
        """Whether the model is faster with what is taken now."""
        return self.tuned_ms < self.default_ms


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
        choose_layout(subject, first, mine, options)
        layouts = TunedSchedules(layouts=mine.layouts(conditions_of(profile, options)))
        tuned = tune_model(
            model, profile, up, mine, budget,
            layouts.options_for(model.provenance.sha256, options),
            builder=builder, sources=others, how=how, told=told, resume=resume,
            roofline=_roofline(first, profile),
        )  # fmt: skip
        return confirm(subject, tuned.boards[0], mine, tuned, options)


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
        TrackerUnreachableError: no board's tracker answers.
    """
    there = [one for one in boards if is_there(one)]
    if not there:
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


def choose_layout(
    subject: Subject,
    board: Board,
    database: TuningDatabase,
    options: CompileOptions = DEFAULTS,
) -> None:
    """Measure the model, untuned, in each layout, and keep which is the fastest, once and for all.

    What a layout gains in one kernel it may lose in the transposes around it: whole models are
    compared. A model whose layout is forced, or that has no image in it, is left alone.

    Args:
        subject: to be tuned.
        board: whose server is up.
        database: for what is found.
        options: how the model is compiled.

    Raises:
        ModelError, CompileError, NumericError: the model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    if options.layout != "auto" or options.level.rules != "all":
        return
    plain = build(subject, profile, options=options).package
    model = plain.manifest.provenance.sha256
    has_images = any(one.layout for one in plain.manifest.targets[0].kernels)
    if model in database.layouts(conditions) or not has_images:
        return
    with step("compare layouts") as this, connect(board) as session:
        packages = {"auto": plain}
        for layout in LAYOUTS:
            if layout not in packages:
                forced = replace(options, layout=layout)
                with contextlib.suppress(NumericError):
                    packages[layout] = build(subject, profile, options=forced).package
        times_ms = dict(zip(packages, _p50_ms(session, list(packages.values())), strict=True))
        best = min(LAYOUTS, key=lambda one: times_ms.get(one, math.inf))
        gain = times_ms["auto"] / times_ms[best]
        chosen = best if gain > 1 / MARGIN else "auto"
        database.choose_layout(conditions, model, chosen, gain if chosen == best else 1.0)
        told = ", ".join(f"{one} {ms:.4g} ms" for one, ms in times_ms.items())
        this.detail = f"{told}: {chosen} is taken"


def confirm(
    subject: Subject,
    board: Board,
    database: TuningDatabase,
    tuned: Tuned,
    options: CompileOptions = DEFAULTS,
) -> Outcome:
    """Compare the whole model, tuned and untuned, in turns on a board.

    A kernel that wins by itself may lose inside the model. Where the tuned model is not faster, or
    its answers are wrong, the verdicts that save least are taken back, half of them at a time, and
    a layout at last.

    Args:
        subject: that was tuned.
        board: whose server is up.
        database: with the verdicts.
        tuned: of `tune_model`.
        options: how the model is compiled.

    Raises:
        ModelError, CompileError, NumericError: the untuned model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    plain = build(subject, profile, options=options).package
    model = plain.manifest.provenance.sha256
    kept = sorted((one for one in tuned.kernels if one.saved_ms > 0), key=lambda one: -one.saved_ms)
    with step("compare the whole model") as this, connect(board) as session:
        schedules = database.schedules(conditions)
        while kept or model in schedules.layouts:
            try:
                package = build(subject, profile, schedules, options=options)
                default_ms, tuned_ms = _p50_ms(session, [plain, package.package])
            except NumericError as error:
                warn(f"tuned, its answers are wrong: {error.what}")
            else:
                if tuned_ms < default_ms:
                    break
                note(
                    f"with what won, the whole model takes {tuned_ms:.4g} ms, without "
                    f"{default_ms:.4g} ms: what saves least is taken back"
                )
            if not kept:
                database.choose_layout(conditions, model, "auto", 1.0)
            kept, dropped = kept[: len(kept) // 2], kept[len(kept) // 2 :]
            for one in dropped:
                database.decide(conditions, one.key, None, 1.0)
            schedules = database.schedules(conditions)
        else:
            default_ms = tuned_ms = _p50_ms(session, [plain])[0]
        this.detail = (
            f"{default_ms:.4g} ms, tuned {tuned_ms:.4g} ms"
            if tuned_ms < default_ms
            else f"{default_ms:.4g} ms; nothing is faster than the defaults"
        )
    still = {one.key for one in kept}
    kernels = tuple(one if one.key in still else _taken_back(one) for one in tuned.kernels)
    return Outcome(replace(tuned, kernels=kernels), default_ms, tuned_ms)


def _taken_back(kernel: TunedKernel) -> TunedKernel:
    """It keeps its default schedule after all."""
    back: Fate = "taken back: the whole model was no faster with it"
    fates = tuple(back if fate == "taken" else fate for fate in kernel.fates)
    return replace(kernel, best_ms=kernel.default_ms, fates=fates)


def _p50_ms(session: BoardSession, packages: Sequence[Package]) -> list[float]:
    """The median latency of each, opened anew in turns."""
    runs: list[list[float]] = [[] for _ in packages]
    for package in packages:
        deploy(session, package)
    for _ in range(_TURNS):
        for package, mine in zip(packages, runs, strict=True):
            session.open(package.data, None)
            mine.extend(session.time_runs(_RUNS, _TURN_S)[_WARM:] / 1e6)
    return [median(mine) for mine in runs]


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
