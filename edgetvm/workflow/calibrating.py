"""Estimates fitted to a board that is there: a dozen kernels, measured and estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import note, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.estimate.calibration import Calibration, Point, calibrate, save_calibration
from edgetvm.estimate.estimating import core_of, watch_kernel
from edgetvm.estimate.runner import program_of
from edgetvm.farm.inventory import Board
from edgetvm.farm.standing_boards import standing
from edgetvm.tune.allocation import default_choice
from edgetvm.tune.building import BuildJob, build_candidate
from edgetvm.tune.jobs import How, RunJob
from edgetvm.tune.running import BoardRunner
from edgetvm.tune.tasks import Task, tasks_of
from edgetvm.workflow.comparing import check_real
from edgetvm.workflow.subject import Subject

_KERNELS = 16
# Of a repetition.
_LEAST_MS = 4.0


def calibrate_on(
    subject: Subject, board: Board, profile: BoardProfile, options: CompileOptions = DEFAULTS
) -> Calibration:
    """Measure kernels of a model on a board, fit clock and costs of misses, and keep what is found.

    They are compiled for one core, which is what estimates are of.

    Args:
        subject: whose kernels are taken, those that take longest and those that move most.
        board: that measures them.
        profile: that they are compiled for and estimated by.
        options: how they are compiled.

    Raises:
        UsageError: the board is emulated, or too few of the model's kernels can be measured.
        BoardError: the board failed.
        others: as `edgetvm.workflow.estimate`.
    """
    core, one_core = core_of(profile), replace(profile, cores=1)
    check_real(board, "calibrate")
    tasks = _chosen(tasks_of(subject.load(), one_core, options).tasks)
    with (
        standing(board, purpose="calibrate") as up,
        step(f"measure {len(tasks)} kernels on {board.name}") as this,
    ):
        runner = BoardRunner(up)
        try:
            points = []
            for at, task in enumerate(tasks):
                point = _point(runner, task, one_core, options)
                points += [point] if point is not None else []
                this.advance(at + 1, len(tasks), task.name)
        finally:
            runner.close()
    found = calibrate(points, core, profile.clock_mhz, board.name, profile.name)
    note(f"the calibration is kept: {save_calibration(found)}")
    return found


def _chosen(tasks: Sequence[Task]) -> list[Task]:
    """Half of them compute most, and half move most."""
    computing = sorted(tasks, key=lambda one: -one.multiply_adds)[: _KERNELS // 2]
    moving = sorted(tasks, key=lambda one: -one.moved_bytes)
    return [*computing, *(one for one in moving if one not in computing)][:_KERNELS]


def _point(
    runner: BoardRunner, task: Task, profile: BoardProfile, options: CompileOptions
) -> Point | None:
    """None where the kernel cannot be had, or its time is none."""
    job = BuildJob(task.form.kernel, default_choice(task.form), profile, options)
    try:
        built = build_candidate(job)
    except EdgetvmError as error:
        note(f"{task.name} is left out: {error.what}")
        return None
    mine = built.loadable(task.form.arguments)
    ran = runner.run(RunJob(mine, mine, How(least_ms=_LEAST_MS)))
    if ran.outcome != "ok":
        note(f"{task.name} is left out: {ran.error}")
        return None
    cost, misses = watch_kernel(program_of(mine), profile)
    return Point(task.name, cost.core_cycles, misses, median(ran.times_ms))
