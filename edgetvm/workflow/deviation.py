"""How far a compiled model's answers lie from another's on the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgetvm.base.errors import MissingToolError
from edgetvm.base.steps import note, step
from edgetvm.boards.profile import load_profile
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.options import CompileOptions, OptLevel
from edgetvm.models.correctness import rms_relative, worst_error
from edgetvm.models.model import Arrays, Model
from edgetvm.models.reference import Source, named_outputs, reference_for, run_stream
from edgetvm.package.executor import Executor
from edgetvm.recipes import Recipe
from edgetvm.workflow.checking import Case, cases

# The level whose arithmetic is the model's own, but for the order of sums; in float32.
STRICT_LEVEL: OptLevel = 2


@dataclass(frozen=True)
class Deviation:
    """How far answers lie from others, on one kind of inputs.

    Attributes:
        of, against: what is compared.
        inputs: what both were given.
        max_relative_error: as the gate counts it, see `edgetvm.models.correctness`.
        rms_relative_error: of the worst output: root mean square of the differences, divided by
            that of what is expected.
    """

    of: str
    against: str
    inputs: str
    max_relative_error: float
    rms_relative_error: float


def deviations(
    model: Model, recipe: Recipe | None, options: CompileOptions
) -> tuple[Deviation, ...]:
    """How far a model at one level lies from the strict level and from its reference runtime.

    It is compiled for this machine: what a level changes is the same on every board.

    Args:
        model: what to compile.
        recipe: whose data are run too.
        options: at the level in question.
    """
    found = _runner(model, options)
    strict = CompileOptions(STRICT_LEVEL, options.layout)
    others = {str(strict): _runner(model, strict)}
    try:
        reference = reference_for(Source.of(model))
        others[reference.name] = lambda case, arrays: (
            run_stream(reference, model.signature, arrays)
            if case.streamed
            else named_outputs(reference.run(arrays), model.signature)
        )
    except MissingToolError as error:
        note(f"not compared with the model's own runtime: {error}")
    with step(f"compare {options} with {' and '.join(others)}") as this:
        results = tuple(
            _deviation(model, case, (str(options), found), (name, other))
            for case in cases(model.signature, recipe, None)
            for name, other in others.items()
        )
        this.detail = f"{max(one.max_relative_error for one in results):.1e}"
    return results


Runner = Callable[[Case, Arrays], Arrays]


def _runner(model: Model, options: CompileOptions) -> Runner:
    artifact = compile_model(model, load_profile("local"), options=options, emulate=True)
    executor = Executor(artifact.library, artifact.signature)

    def run(case: Case, arrays: Arrays) -> Arrays:
        if case.streamed:
            return run_stream(executor, artifact.signature, arrays)
        return executor.run(arrays)

    return run


def _deviation(
    model: Model, case: Case, one: tuple[str, Runner], other: tuple[str, Runner]
) -> Deviation:
    largest = rms = 0.0
    for arrays in case.samples:
        found, expected = one[1](case, arrays), other[1](case, arrays)
        error = worst_error(found, expected, model.signature.quanta)
        largest = max(largest, error.max_relative_error)
        rms = max(rms, *(rms_relative(found[name], wanted) for name, wanted in expected.items()))
    return Deviation(one[0], other[0], case.told, largest, rms)
