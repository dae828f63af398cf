"""The records that an importer makes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import InputError, UsageError

if TYPE_CHECKING:
    from tvm.ir import IRModule

Arrays = Mapping[str, NDArray[np.generic]]

# What inputs and outputs may hold: numpy's own numbers, and nothing that it would have to unpickle.
DTYPES = ("float16", "float32", "float64", "bool") + tuple(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)


@dataclass(frozen=True)
class Quantisation:
    """How integers stand for real numbers: `scale * (integer - zero_point)`."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class QuantisedTensors:
    """Tensors of the source that are quantised alike.

    Attributes:
        role: `weights` or `activations`.
        dtype: of the integers.
        per_channel: whether each channel has a scale of its own.
        count: of such tensors.
    """

    role: str
    dtype: str
    per_channel: bool
    count: int

    def __str__(self) -> str:
        how = "per channel" if self.per_channel else "per tensor"
        role = self.role if self.count > 1 else self.role.removesuffix("s")
        return f"{self.count} {role} in {self.dtype} {how}"


def counted(tensors: Iterable[tuple[str, str, bool]]) -> tuple[QuantisedTensors, ...]:
    """One record for all tensors that share (role, dtype, per channel); the most frequent first."""
    return tuple(QuantisedTensors(*kind, count) for kind, count in Counter(tensors).most_common())


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        dtype: numpy's name.
        quantisation: of quantised integers, or of the integers that floats were made from.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantisation: Quantisation | None = None

    @property
    def quantum(self) -> float | None:
        """The step between neighbouring values, of a quantised tensor."""
        if self.quantisation is None:
            return None
        return self.quantisation.scale if np.dtype(self.dtype).kind == "f" else 1.0

    @property
    def size_bytes(self) -> int:
        """Bytes of its elements."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class State:
    """A stream's state: the next chunk's `input` is this chunk's `output`.

    Attributes:
        initial: what each element of the first chunk's `input` is.
    """

    input: str
    output: str
    initial: float = 0.0


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    states: tuple[State, ...] = ()

    @property
    def quanta(self) -> dict[str, float]:
        """`TensorSpec.quantum` of the quantised outputs, by name."""
        return {spec.name: spec.quantum for spec in self.outputs if spec.quantum is not None}

    def initial_states(self) -> dict[str, NDArray[np.generic]]:
        """The states' inputs for the first chunk of a stream."""
        inputs = {spec.name: spec for spec in self.inputs}
        return {
            state.input: np.full(
                inputs[state.input].shape, state.initial, inputs[state.input].dtype
            )
            for state in self.states
        }

    def check_inputs(self, arrays: Arrays) -> None:
        """Refuse inputs that do not fit.

        Raises:
            InputError: a name is missing or unknown, or a shape or dtype differs.
        """
        wanted = ", ".join(map(str, self.inputs))
        names = {spec.name for spec in self.inputs}
        for name in arrays:
            if name not in names:
                raise InputError(f"there is no input {name!r}", mend=f"the inputs are {wanted}")
        for spec in self.inputs:
            if spec.name not in arrays:
                raise InputError(f"input {spec.name!r} is missing", mend=f"the inputs are {wanted}")
            array = arrays[spec.name]
            if tuple(array.shape) != spec.shape or array.dtype != spec.dtype:
                found = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
                raise InputError(f"input {spec.name!r} is {found}", mend=f"it should be {spec}")

    def check_outputs(self, arrays: Arrays) -> None:
        """Refuse answers of another size than the signature says.

        Raises:
            InputError: an output's size depends on the data.
        """
        for spec in self.outputs:
            if spec.name in arrays and tuple(arrays[spec.name].shape) != spec.shape:
                found = ", ".join(map(str, arrays[spec.name].shape))
                raise InputError(
                    f"output {spec.name!r} is [{found}] on these inputs and "
                    f"[{', '.join(map(str, spec.shape))}] on others",
                    mend="cut the model before the operator whose result has no fixed size, "
                    "such as NonMaxSuppression",
                )

    def with_states(self, states: Mapping[str, str]) -> Signature:
        """The same signature with these `states` too (input name to output name).

        Raises:
            UsageError: a name is unknown, or the two tensors differ in shape or dtype.
        """
        inputs = {spec.name: spec for spec in self.inputs}
        outputs = {spec.name: spec for spec in self.outputs}
        for source, result in states.items():
            if source not in inputs or result not in outputs:
                raise UsageError(
                    f"state {source} -> {result} names no input and output of this model",
                    mend=f"inputs: {', '.join(inputs)}; outputs: {', '.join(outputs)}",
                )
            a, b = inputs[source], outputs[result]
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                raise UsageError(
                    f"state {source} is {a}, and {result} is {b}",
                    mend="a state's input and output must have one shape and dtype",
                )
        pairs = tuple(State(source, result) for source, result in states.items())
        kept = tuple(state for state in self.states if state.input not in states)
        return Signature(self.inputs, self.outputs, kept + pairs)

    def with_quantised_outputs(self, known: Mapping[str, Quantisation]) -> Signature:
        """The same signature with what is known of outputs that are made from integers."""
        outputs = tuple(
            replace(spec, quantisation=known.get(spec.name, spec.quantisation))
            for spec in self.outputs
        )
        return Signature(self.inputs, outputs, self.states)


@dataclass(frozen=True)
class ImportOptions:
    """What the user fixes before a model is imported.

    Attributes:
        shapes: shapes of inputs, by name; they replace dynamic axes.
        bindings: inputs that become constants, by name (a sample rate, a flag).
        states: inputs fed from the last run's outputs, by name.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    bindings: Mapping[str, int | float | list[int] | list[float]] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Provenance:
    """Where a model came from.

    Attributes:
        file_name: of the source, without its folder.
        sha256: of the source file.
        importer: the importer's name in `edgetvm.models.importers.IMPORTERS`.
        versions: of the packages that had a part in importing.
        changes: what was changed on the way, one sentence each.
    """

    file_name: str
    sha256: str
    importer: str
    versions: Mapping[str, str]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """An imported model, whatever its source.

    Attributes:
        name: used for files and reports.
        module: Relax functions, parameters as constants; `main` takes the inputs in order.
        signature: see `Signature`.
        nodes: by name of a Relax variable, the name of the source's node that it computes.
        operators: how often each of the source's operators occurs.
        parameters: elements of the constants, by dtype.
        multiply_adds: of one run, by dtype of what is multiplied.
        quantised: what of the source is; empty for formats that do not say.
        source: the file itself, for reference runtimes.
        options: what the user fixed.
        provenance: see `Provenance`.
    """

    name: str
    module: IRModule
    signature: Signature
    nodes: Mapping[str, str]
    operators: Mapping[str, int]
    parameters: Mapping[str, int]
    multiply_adds: Mapping[str, int]
    quantised: tuple[QuantisedTensors, ...]
    source: Path
    options: ImportOptions
    provenance: Provenance

    @property
    def parameter_count(self) -> int:
        """Elements of all constants."""
        return sum(self.parameters.values())
