"""Model and board in, package and measurement out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgetvm.base.errors import (
    BoardBusyError,
    BoardError,
    BoardGoneError,
    BoardTimeoutError,
    EdgetvmError,
    LeaseLostError,
    TrackerUnreachableError,
    UsageError,
)
from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.farm.governing import governed
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.jobs import ending_of, run_job
from edgetvm.farm.standing_boards import connected, standing
from edgetvm.measure.beside import check_peers
from edgetvm.measure.measurement import Measurement, StepRecord
from edgetvm.measure.measuring import measure
from edgetvm.measure.microphone import recorded
from edgetvm.measure.pacing import period_ms_of, with_own_signal
from edgetvm.measure.peers_on_board import check_python
from edgetvm.measure.plan import Plan
from edgetvm.measure.store import save
from edgetvm.models.reference import Source
from edgetvm.workflow.build import build
from edgetvm.workflow.layer_agreement import layers_beside
from edgetvm.workflow.subject import Binding, Subject, find_subject

_RECORDED_S = 10.0
# After these the board is not there for the next model.
ENDING = (
    BoardGoneError,
    BoardTimeoutError,
    BoardBusyError,
    LeaseLostError,
    TrackerUnreachableError,
)


@dataclass(frozen=True)
class Benched:
    """What came of several models.

    Attributes:
        measurements: of those that could be measured, in the order given.
        failures: why others could not, by the name that was given; with ` on BOARD` after it
            where there are several boards.
    """

    measurements: tuple[Measurement, ...]
    failures: Mapping[str, EdgetvmError]


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
    check_peers(plan.peers, board)
    if plan.peers and not board.shares_cores:
        check_python(board)
    if plan.layers and plan.against is None:
        raise UsageError(
            "layers are compared with a float model's",
            where=subject.name,
            mend="name it: --against FLOAT.onnx",
        )
    plan.check_bound(subject.recipe, subject.name)
    if plan.real_time is not None:
        period_ms_of(subject.recipe, plan.real_time, subject.name)
    profile = load_profile(board.profile)
    steps: list[StepRecord] = []

    def keep(event: StepEvent) -> None:
        if event.state == "finished":
            steps.append(StepRecord(event.title, event.elapsed_s, event.detail))

    with listening(keep):
        plan = _with_recording(plan, subject, board)
        with_own_signal(subject.recipe, plan.real_time)
        original = _original(plan, subject)
        built = build(subject, profile, tuned, plan.allow_mismatch, options)
        with connected(board, f"bench {subject.name}") as session, governed([session.board]):
            measurement = measure(
                session,
                built.package,
                profile,
                source=built.source,
                recipe=subject.recipe,
                plan=plan,
                steps=steps,
                original=original,
            )
    if plan.layers and plan.against is not None:
        layers = layers_beside(subject, find_subject(plan.against), board, plan, options)
        measurement = replace(measurement, layers=layers)
    save(measurement)
    return measurement


def _with_recording(plan: Plan, subject: Subject, board: Board) -> Plan:
    """The plan with what the board's microphone hears, where that is wanted."""
    real_time = plan.real_time
    if real_time is None or real_time.audio != "microphone":
        return plan
    stream = subject.recipe.stream if subject.recipe is not None else None
    if stream is None:
        raise UsageError(
            "it takes no audio", where=subject.name, mend="name a recipe with a `stream` section"
        )
    path = recorded(board, real_time.seconds or _RECORDED_S, stream.sample_rate_hz)
    return replace(plan, real_time=replace(real_time, audio=path))


def _original(plan: Plan, subject: Subject) -> Source | None:
    """The float model that answers are compared with too."""
    if plan.against is None:
        return None
    if subject.recipe is None or subject.recipe.postprocess is None:
        if plan.layers:
            return None
        raise UsageError(
            "there are no decisions to compare with a float model's",
            where=subject.name,
            mend="name a recipe with `data` and `postprocess`, or add --layers",
        )
    return Source.of(find_subject(plan.against).load())


def bench_each(
    names: Sequence[str],
    boards: Sequence[Board] = (LOCAL,),
    plan: Plan | None = None,
    tuned: Callable[[BoardProfile], TunedSchedules] | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    bindings: Mapping[str, Binding] | None = None,
    data: Path | None = None,
    wait_s: float = WAIT_S,
) -> Benched:
    """Measure several models on boards; what cannot be measured is no reason to leave out the rest.

    Boards are measured one after the other: this machine compiles for each.

    Args:
        names: of model files and recipes.
        boards: see `edgetvm.farm.find_boards`; this machine without them.
        plan, options: see `bench`.
        tuned: schedules for a board's profile; see `edgetvm.workflow.tuned_schedules`.
        shapes, bindings, data: see `edgetvm.workflow.find_subject`.
        wait_s: for a board of a farm that somebody else has.

    Raises:
        BoardError: the only board cannot be had; BoardBusyError where somebody has it.
        ConfigurationError: a board's profile cannot be read.
        StorageError: `tuned` cannot read its database.
    """
    unfound: dict[str, EdgetvmError] = {}
    subjects: list[tuple[str, Subject]] = []
    for name in names:
        try:
            subjects.append((name, find_subject(name, shapes, bindings, data)))
        except EdgetvmError as error:
            unfound[name] = error
    measurements: list[Measurement] = []
    failed = {"": unfound}
    for board in boards if subjects else ():
        schedules = tuned(load_profile(board.profile)) if tuned is not None else UNTUNED
        there = failed.setdefault(f" on {board.name}" if len(boards) > 1 else "", {})
        try:
            with standing(board, wait_s, f"bench {' '.join(names)}") as up:
                one = partial(bench, board=up, plan=plan, tuned=schedules, options=options)
                measurements += _measured(subjects, one, there)
        except BoardError as error:
            if len(boards) == 1:
                raise
            there |= {name: error for name, _ in subjects}
    failures = {
        f"{name}{place}": errors[name]
        for name in names
        for place, errors in failed.items()
        if name in errors
    }
    return Benched(tuple(measurements), failures)


def bench_any(
    names: Sequence[str],
    boards: Sequence[Board],
    plan: Plan | None = None,
    tuned: Callable[[BoardProfile], TunedSchedules] | None = None,
    options: CompileOptions = DEFAULTS,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    bindings: Mapping[str, Binding] | None = None,
    data: Path | None = None,
    wait_s: float = WAIT_S,
) -> Benched:
    """Measure several models on whichever board is had first; else as `bench_each`.

    After an infrastructure error all of them are measured once more, on another board.

    Raises:
        EdgetvmError: no board was had, or the second one failed, too; and as `bench_each`.
    """

    def work(board: Board) -> Benched:
        found = bench_each(
            names, [board], plan, tuned, options, shapes=shapes, bindings=bindings, data=data
        )
        for error in found.failures.values():
            if ending_of(error) == "infrastructure error":
                raise error
        return found

    job = run_job(boards, work, purpose=f"bench {' '.join(names)}", wait_s=wait_s)
    if job.error is not None:
        raise job.error
    return job.value or Benched((), {})


def _measured(
    subjects: Sequence[tuple[str, Subject]],
    measured: Callable[[Subject], Measurement],
    failures: dict[str, EdgetvmError],
) -> list[Measurement]:
    """What can be measured, as long as the board is there; `failures` gets why others cannot."""
    found = []
    for index, (name, subject) in enumerate(subjects):
        try:
            found.append(measured(subject))
        except ENDING as error:
            failures |= {left: error for left, _ in subjects[index:]}
            break
        except EdgetvmError as error:
            failures[name] = error
    return found
