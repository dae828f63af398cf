"""Is an import right? The model on this machine beside its source's own runtime."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgetvm.base.steps import step
from edgetvm.boards.profile import load_profile
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.models.correctness import Correctness, OutputError, badness, worst_error
from edgetvm.models.fills import fill
from edgetvm.models.model import Arrays, Model, Signature
from edgetvm.models.reference import Runner, Source, named_outputs, reference_for, run_stream
from edgetvm.models.rounding import rounding_noise
from edgetvm.package.executor import Executor
from edgetvm.package.gate import tolerance_of
from edgetvm.recipes import Recipe, prepare, samples

_RANDOM_CHUNKS = 16


@dataclass(frozen=True)
class Case:
    """One kind of inputs to compare on.

    Attributes:
        told: what they are, for the report.
        samples: arrays by name; where `streamed`, `[chunks, *shape]` for all but the states.
    """

    told: str
    samples: tuple[Arrays, ...]
    streamed: bool


def check_model(
    model: Model,
    recipe: Recipe | None = None,
    inputs: Arrays | None = None,
    tolerance: float | None = None,
    options: CompileOptions = DEFAULTS,
) -> tuple[Correctness, ...]:
    """Compile an imported model for this machine and compare it with its reference runtime.

    It is run on random inputs, on all samples of its recipe, and on the inputs given. A model with
    states is run chunk after chunk on the first two, its state carried on both sides.

    Args:
        model: what to check.
        recipe: whose data are run too.
        inputs: arrays by name, of one run; states that are left out begin as they do in a stream.
        tolerance: the relative error from which an answer counts as wrong; that of the options
            without it. What rounding between the operators of a quantised graph may do comes on
            top.
        options: how it is compiled.

    Returns:
        for each kind of inputs the worst of its samples.

    Raises:
        CompileError: it cannot be compiled.
        InputError: its reference refuses it, or `inputs` do not fit.
    """
    if inputs is not None:
        inputs = {**model.signature.initial_states(), **inputs}
        model.signature.check_inputs(inputs)
    artifact = compile_model(model, load_profile("local"), options=options, emulate=True)
    with step("check against the reference") as this:
        reference = reference_for(Source.of(model))
        compiled = Executor(artifact.library, artifact.signature)
        found = []
        for case in cases(model.signature, recipe, inputs):
            errors = []
            least = allowed = tolerance_of(options) if tolerance is None else tolerance
            for one in case.samples:
                answer = partial(_expected, model.signature, case.streamed)
                expected = answer(reference, one)
                errors.append(_compared(compiled, expected, model.signature, one, case.streamed))
                noise = rounding_noise(answer, reference, one, expected, model.signature.quanta)
                allowed = max(allowed, least + noise)
            worst = max(errors, key=badness)
            found.append(
                Correctness(
                    reference=reference.name,
                    max_abs_error=worst.max_abs_error,
                    max_relative_error=worst.max_relative_error,
                    tolerance=allowed,
                    worst_output=worst.output,
                    samples=sum(map(_chunks, case.samples)) if case.streamed else len(errors),
                    inputs=case.told,
                    rms_relative_error=worst.rms_relative_error if reference.shaken else None,
                )
            )
        this.detail = f"{sum(one.samples for one in found)} runs"
    return tuple(found)


def cases(signature: Signature, recipe: Recipe | None, inputs: Arrays | None) -> Iterator[Case]:
    """Random inputs, the recipe's data, and those given; where there are any."""
    fed = {spec.name for spec in signature.inputs} - {one.input for one in signature.states}
    if signature.states and fed:
        chunks = [fill(signature, "random", seed) for seed in range(_RANDOM_CHUNKS)]
        stream = {name: np.stack([chunk[name] for chunk in chunks]) for name in fed}
        yield Case("random, seeds from 0", (stream,), streamed=True)
    else:
        yield Case("random, seed 0", (fill(signature, "random"),), streamed=False)
    if recipe is not None and recipe.data is not None:
        arrays = tuple(prepare(recipe, sample) for sample in samples(recipe))
        yield Case("the recipe's data", arrays, streamed=recipe.stream is not None)
    if inputs is not None:
        yield Case("given", (inputs,), streamed=False)


def _chunks(stream: Arrays) -> int:
    return len(next(iter(stream.values()), ()))


def _compared(
    compiled: Executor,
    expected: Arrays,
    signature: Signature,
    arrays: Arrays,
    streamed: bool,
) -> OutputError:
    if streamed:
        found = run_stream(compiled, signature, arrays)
    else:
        found = compiled.run(arrays)
        signature.check_outputs(found)
    return worst_error(found, expected, signature.quanta)


def _expected(signature: Signature, streamed: bool, runner: Runner, arrays: Arrays) -> Arrays:
    if streamed:
        return run_stream(runner, signature, arrays)
    return named_outputs(runner.run(arrays), signature)
