"""Model and boards in, tuned schedules out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from edgetvm.base.steps import note
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.session import standing
from edgetvm.tune.building import Builder
from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.progress import Progress
from edgetvm.tune.running import How
from edgetvm.tune.search import Budget
from edgetvm.tune.tuning import Tuned, conditions_of, tune_model
from edgetvm.workflow.subject import Subject


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
) -> Tuned:
    """Search schedules for a model on boards of one profile, all at once.

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

    Raises:
        ModelError, CompileError: the model cannot be built.
        BoardError: a board failed for good.
        MissingToolError: xgboost is not installed.
        StorageError: a database cannot be read or written.
    """
    profile = load_profile(boards[0].profile)
    model = subject.load()
    with ExitStack() as open_:
        mine = open_.enter_context(TuningDatabase(database or default_database()))
        others = [open_.enter_context(TuningDatabase(one, must_exist=True)) for one in sources]
        up = [open_.enter_context(standing(one)) for one in boards]
        return tune_model(
            model, profile, up, mine, budget, options,
            builder=builder, sources=others, how=how, told=told,
        )  # fmt: skip


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
    if not found.kernels:
        note(f"{path} has no schedule that beats a default one for {profile.name}")
        return UNTUNED
    return found
