"""The quantised model beside its float original, both compiled, on the board if there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgetvm.base.steps import note, step, warn
from edgetvm.base.units import format_ms
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.standing_boards import connected, standing
from edgetvm.measure.deployment import deploy
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.plan import Plan
from edgetvm.measure.statistics import summarise
from edgetvm.models.model import Arrays
from edgetvm.workflow.bench import bench
from edgetvm.workflow.build import build
from edgetvm.workflow.quantising.judging import Figure, loss_pct
from edgetvm.workflow.quantising.quantizing import Quantized
from edgetvm.workflow.subject import Subject, find_subject


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        package_bytes: of its package.
        measurement: on the board; None where there is none.
    """

    package_bytes: int
    measurement: Measurement | None

    @property
    def p50_ms(self) -> float | None:
        """Median latency."""
        return None if self.measurement is None else summarise(self.measurement).p50_ms


@dataclass(frozen=True)
class Comparison:
    """Both models on one board, or compiled for one profile.

    Attributes:
        device: its name.
        original, quantised: the float model and the other.
        figures: of the compiled quantised model, on the board; empty where there is none.
    """

    device: str
    original: Side
    quantised: Side
    figures: tuple[Figure, ...]

    @property
    def speedup(self) -> float | None:
        """How many times faster than float; None where nothing was timed."""
        a, b = self.original.p50_ms, self.quantised.p50_ms
        return None if a is None or b is None else a / b

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Of both; empty where there is no board."""
        both = (self.original.measurement, self.quantised.measurement)
        return tuple(one for one in both if one is not None)

    @property
    def loss_pct(self) -> float | None:
        """Of the compiled quantised model on the board; None where there is none."""
        return loss_pct(self.figures) if self.figures else None

    def within(self, max_loss_pct: float | None) -> bool:
        """Whether what was measured on the board keeps to a bound."""
        return self.loss_pct is None or max_loss_pct is None or self.loss_pct <= max_loss_pct


def compare(
    subject: Subject,
    quantized: Quantized,
    board: Board | BoardProfile = LOCAL,
    plan: Plan | None = None,
    options: CompileOptions = DEFAULTS,
) -> Comparison:
    """Compile both models; run both on a board, and judge the quantised one there.

    Args:
        subject: the float model.
        quantized: from `quantize` of it.
        board: a board, or a board profile: then nothing is run.
        plan: how often and how long.
        options: how both are compiled.

    Raises:
        EdgetvmError: see `edgetvm.workflow.bench`.
    """
    new = find_subject(str(quantized.recipe_path or quantized.path))
    # Shapes and constants are fixed in the file; which of its tensors are states it cannot say.
    new = replace(new, options=replace(new.options, states=subject.options.states))
    if isinstance(board, BoardProfile):
        return _unmeasured(subject, new, board, options)
    plan = plan or Plan()
    with standing(board, purpose="quantize") as up:
        sides = [
            Side(one.package_size_bytes, one)
            for one in (bench(each, up, plan, options=options) for each in (subject, new))
        ]
        figures = _judged(quantized, new, up, plan, options)
    found = Comparison(board.name, sides[0], sides[1], figures)
    if found.speedup is not None and found.speedup < 1:
        a, b = (format_ms(side.p50_ms or 0.0) for side in (found.quantised, found.original))
        warn(f"int8 is slower than float on {board.name}: {a} beside {b}")
    return found


def _unmeasured(
    subject: Subject, new: Subject, profile: BoardProfile, options: CompileOptions
) -> Comparison:
    packages = [build(each, profile, options=options).package for each in (subject, new)]
    sides = [Side(package.size_bytes, None) for package in packages]
    note(
        f"{profile.name} is no board of the inventory: latency was not measured, and the loss is "
        "that on this machine"
    )
    return Comparison(profile.name, sides[0], sides[1], ())


def _judged(
    quantized: Quantized, new: Subject, board: Board, plan: Plan, options: CompileOptions
) -> tuple[Figure, ...]:
    """The measures of the compiled model, on the board itself."""
    package = build(new, load_profile(board.profile), UNTUNED, plan.allow_mismatch, options).package
    with connected(board) as session:
        deploy(session, package, plan.threads, plan.allow_mismatch)

        def answer(inputs: Arrays) -> Arrays:
            if quantized.signature.states:
                return session.stream(inputs)[1]
            return session.run(inputs)[1]

        with step(f"judge the compiled model on {board.name}") as this:
            figures = quantized.judge.figures(answer)
            this.detail = f"loss {loss_pct(figures):.3g} %"
    return figures
