"""Model and board in, tuned schedules out."""

from __future__ import annotations

from pathlib import Path

from edgetvm.boards.profile import load_profile
from edgetvm.compile.compiler import optimise
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.session import standing
from edgetvm.tune.tuning import Tuned, database_folder, tune_module
from edgetvm.workflow.subject import Subject


def tune(
    subject: Subject,
    board: Board = LOCAL,
    trials: int = 64,
    database: Path | None = None,
    options: CompileOptions = DEFAULTS,
) -> Tuned:
    """Search schedules for a model on a board.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        board: from `edgetvm.farm.find_board`; this machine without it.
        trials: candidates to measure.
        database: folder of records; the profile's own without it.
        options: how it is compiled; a record serves the kernels that these options make.

    Raises:
        ModelError, CompileError: the model cannot be built.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    module = optimise(subject.load(), profile, options)
    folder = database or database_folder(profile)
    with standing(board) as up:
        return tune_module(module, profile, up, trials, folder, options)
