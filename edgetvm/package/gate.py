"""The numeric gate: a compiled model is compared with its reference before it is packaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import NumericError, PackageError
from edgetvm.base.steps import step
from edgetvm.boards.profile import load_profile
from edgetvm.compile.artifact import Artifact
from edgetvm.compile.compiler import compile_model
from edgetvm.models.correctness import Correctness, worst_error
from edgetvm.models.fills import fill
from edgetvm.models.model import Arrays, Model
from edgetvm.models.reference import Source, named_outputs, reference_for
from edgetvm.package.executor import Executor, check_machine
from edgetvm.package.manifest import TargetNeeds

# Float32 sums taken in another order differ in the last bits; deep networks add those up. A wrong
# kernel is wrong by far more than a thousandth of its output's largest value.
TOLERANCE = 1e-3


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


def check(
    artifact: Artifact,
    model: Model,
    inputs: Arrays | None = None,
    tolerance: float = TOLERANCE,
    allow_mismatch: bool = False,
) -> Checked:
    """Compare a compiled model with its reference runtime.

    A model for another architecture cannot run here: then the same passes are compiled for this
    machine and compared, and the board repeats the sample when it gets the package.

    Args:
        artifact: what was compiled.
        model: what it was compiled from.
        inputs: arrays by name; random ones (seed 0) without it.
        tolerance: largest difference / largest magnitude of an output.
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
        found = Executor(runnable.library, runnable.signature).run(sample)
        model.signature.check_outputs(found)
        error = worst_error(found, expected, model.signature.quanta)
        correctness = Correctness(
            reference=reference.name,
            max_abs_error=error.max_abs_error,
            max_relative_error=error.max_relative_error,
            tolerance=tolerance,
            worst_output=error.output,
            samples=1,
            inputs="given" if inputs is not None else "random, seed 0",
            checked_on=where,
        )
        this.detail = f"{error.max_relative_error:.1e} from {reference.name}"
        if not correctness.passed and not allow_mismatch:
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


def _runnable_here(artifact: Artifact, model: Model) -> tuple[Artifact, str]:
    try:
        check_machine(TargetNeeds.of(artifact.profile))
    except PackageError:
        host = compile_model(model, load_profile("local"), options=artifact.options)
        return host, "this machine, compiled by the same passes"
    return artifact, "this machine"
