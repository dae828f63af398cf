"""The numeric gate: a compiled model is compared with its reference before it is packaged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import NumericError, PackageError
from edgetvm.base.steps import step
from edgetvm.base.words import told_nodes
from edgetvm.boards.profile import load_profile
from edgetvm.compile.artifact import Artifact
from edgetvm.compile.compiler import compile_model
from edgetvm.compile.options import CompileOptions
from edgetvm.models.correctness import Correctness, worst_error
from edgetvm.models.fills import fill
from edgetvm.models.model import Arrays, Model
from edgetvm.models.reference import Source, named_outputs, reference_for
from edgetvm.models.rounding import rounding_noise
from edgetvm.package.executor import Executor, check_machine
from edgetvm.package.manifest import TargetNeeds
from edgetvm.package.overflow import LARGEST, first_overflow

# Float32 sums taken in another order differ in the last bits; deep networks add those up. A wrong
# kernel is wrong by far more than a thousandth of its output's largest value.
TOLERANCE = 1e-3
# A rounding to float16 errs by up to 2^-11. This is what a hundred of them add up to if all err the
# same way: it tells a wrong kernel from a rounded one. Whether a model bears the rounding, its data
# and metrics must say.
HALF_TOLERANCE = 5e-2


@dataclass(frozen=True)
class Checked:
    """The outcome of the gate, with what the package will test itself on.

    Attributes:
        correctness: see `Correctness`.
        sample_inputs, sample_outputs: inputs, and the reference's answers to them.
    """

    correctness: Correctness
    sample_inputs: dict[str, NDArray[np.generic]]
    sample_outputs: dict[str, NDArray[np.generic]]


def tolerance_of(options: CompileOptions) -> float:
    """The relative error from which a model that was compiled in that way is wrong."""
    return HALF_TOLERANCE if options.precision == "fp16" else TOLERANCE


def check(
    artifact: Artifact,
    model: Model,
    inputs: Arrays | None = None,
    tolerance: float | None = None,
    allow_mismatch: bool = False,
) -> Checked:
    """Compare a compiled model with its reference runtime.

    A model for another architecture cannot run here: then the same passes are compiled for this
    machine and compared, and the board repeats the sample when it gets the package. A model in
    float16 is compiled in float32 too, so that its error is told beside the other's.

    Args:
        artifact: what was compiled.
        model: what it was compiled from.
        inputs: arrays by name; random ones (seed 0) without it.
        tolerance: largest difference / largest magnitude of an output; that of the model's options
            without it. What rounding between the operators of a quantised graph may do comes on
            top.
        allow_mismatch: report a wrong model instead of refusing it.

    Raises:
        NumericError: with the worst output, its error, and the flag to go on.
        InputError: `inputs` do not fit the model, or the reference refuses it.
    """
    with step("check against the reference") as this:
        reference = reference_for(Source.of(model))
        sample = dict(inputs) if inputs is not None else dict(fill(model.signature, "random"))
        model.signature.check_inputs(sample)
        expected = named_outputs(reference.run(sample), model.signature)
        runnable, where = _runnable_here(artifact, model)
        executor = Executor(runnable.library, runnable.signature)
        found = executor.run(sample)
        model.signature.check_outputs(found)
        allowed = tolerance_of(artifact.options) if tolerance is None else tolerance
        allowed += rounding_noise(
            lambda runner, inputs: named_outputs(runner.run(inputs), model.signature),
            reference,
            sample,
            expected,
            model.signature.quanta,
        )
        error = worst_error(found, expected, model.signature.quanta)
        float32_error = None
        if artifact.options.precision == "fp16":
            float32_error = _float32_error(artifact.options, model, sample, expected)
        correctness = Correctness(
            reference=reference.name,
            max_abs_error=error.max_abs_error,
            max_relative_error=error.max_relative_error,
            tolerance=allowed,
            worst_output=error.output,
            samples=1,
            inputs="given" if inputs is not None else "random, seed 0",
            checked_on=where,
            float32_error=float32_error,
            rms_relative_error=error.rms_relative_error if reference.shaken else None,
        )
        this.detail = f"{error.max_relative_error:.1e} from {reference.name}"
        if float32_error is not None:
            this.detail += f", {float32_error:.1e} in float32"
        if not correctness.passed and not allow_mismatch:
            if artifact.options.precision == "fp16":
                raise _half_refusal(correctness, model, artifact.options, sample)
            raise refusal(correctness, model.name)
    return Checked(correctness, sample, expected)


def refusal(
    correctness: Correctness,
    name: str,
    mend: str = "report it; --allow-mismatch goes on all the same",
) -> NumericError:
    """The error for a model that is wrong."""
    return NumericError(
        f"output {correctness.worst_output!r} differs from {correctness.reference} by "
        f"{correctness.max_abs_error:.3g} ({correctness.max_relative_error:.2g} of its largest "
        f"value, {correctness.tolerance:g} allowed; inputs: {correctness.inputs})",
        where=name,
        mend=mend,
    )


def _half_refusal(
    correctness: Correctness, model: Model, options: CompileOptions, sample: Arrays
) -> NumericError:
    """The error for a model that float16 makes wrong."""
    name, mend = model.name, "leave --precision out"
    local = load_profile("local")
    watched = compile_model(model, local, options=options, emulate=True, native=False)
    nodes = first_overflow(watched, sample)
    if nodes is None:
        told = f"in float32 it differs by {correctness.float32_error:.2g}"
        return refusal(correctness, name, f"{told}: {mend}; --allow-mismatch goes on all the same")
    return NumericError(
        f"{told_nodes((nodes,))} goes beyond {LARGEST}, the largest number of float16 "
        f"(inputs: {correctness.inputs})",
        where=name,
        mend=f"compile in float32: {mend}",
    )


def _float32_error(
    options: CompileOptions, model: Model, sample: Arrays, expected: Arrays
) -> float:
    """The error of the same model in float32."""
    whole = compile_model(model, load_profile("local"), options=replace(options, precision="fp32"))
    found = Executor(whole.library, whole.signature).run(sample)
    return worst_error(found, expected, model.signature.quanta).max_relative_error


def _runnable_here(artifact: Artifact, model: Model) -> tuple[Artifact, str]:
    try:
        check_machine(TargetNeeds.of(artifact.profile))
    except PackageError:
        host = compile_model(model, load_profile("local"), options=artifact.options, emulate=True)
        return host, "this machine, compiled by the same passes"
    return artifact, "this machine"
