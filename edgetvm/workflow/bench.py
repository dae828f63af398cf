"""Model and board in, package and measurement out."""

from __future__ import annotations

from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.session import connected
from edgetvm.measure.measurement import Measurement, StepRecord
from edgetvm.measure.measuring import Plan, measure
from edgetvm.measure.store import save
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import Subject


def bench(
    subject: Subject,
    board: Board = LOCAL,
    plan: Plan | None = None,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
) -> Measurement:
    """Build, deploy, test and measure a model on a board, and keep the measurement.

    Args:
        subject: from `edgetvm.workflow.find_subject`.
        board: from `edgetvm.farm.find_board`; this machine without it.
        plan: how often and how long.
        tuned: schedules; see `edgetvm.workflow.tuned_schedules`.
        options: how it is compiled.

    Raises:
        EdgetvmError: see `build` and `edgetvm.measure.measure`.
    """
    plan = plan or Plan()
    profile = load_profile(board.profile)
    steps: list[StepRecord] = []

    def keep(event: StepEvent) -> None:
        if event.state == "finished":
            steps.append(StepRecord(event.title, event.elapsed_s, event.detail))

    with listening(keep):
        built = build(subject, profile, tuned, plan.allow_mismatch, options)
        with connected(board) as session:
            measurement = measure(
                session,
                built.package,
                profile,
                source=built.source,
                recipe=subject.recipe,
                plan=plan,
                steps=steps,
            )
    save(measurement)
    return measurement
