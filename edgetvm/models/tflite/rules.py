"""The table of operators, and what an operator's rule sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Complex, Emitter, Value, dtype_of, is_constant, shape_of
from edgetvm.models.tflite.file import Operator, Scales, Tensor


class Refusal(Exception):
    """A form of an operator that has no rule. The text follows the operator's name."""


@dataclass(frozen=True, eq=False)
class Node:
    """One operator, its inputs known.

    Attributes:
        operator: as the file has it.
        inputs: their values; None for one that is left out.
        tensors, results: how the file declares inputs and outputs.
        emit: what the rule writes with.
        run: lowers a subgraph in place, for control flow: number and inputs to outputs.
        variables: current values of the file's variables, by name.
    """

    operator: Operator
    inputs: tuple[Value | None, ...]
    tensors: tuple[Tensor | None, ...]
    results: tuple[Tensor, ...]
    emit: Emitter
    run: Callable[[int, Sequence[Value]], list[Value]]
    variables: dict[str, Value]

    def options(self, class_name: str) -> Any:
        """The operator's options, see `Operator.options`."""
        return self.operator.options(class_name)

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def value(self, index: int) -> Value:
        """An input that must be given."""
        if not self.has(index):
            raise ValueError(f"input {index} is missing")
        return self.inputs[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of an input."""
        return shape_of(self.value(index))

    def axes(self, index: int, count: int) -> tuple[int, ...]:
        """Shape of an input that must have so many axes."""
        shape = self.shape(index)
        if len(shape) != count:
            raise ValueError(f"input {index} has {len(shape)} axes, not {count}")
        return shape

    def constant(self, index: int, what: str) -> NDArray[Any]:
        """An input that must be known now: a shape, an axis."""
        value = self.value(index)
        if not is_constant(value):
            raise Refusal(f"with {what} that is computed")
        return np.asarray(value)

    def integers(self, index: int, what: str, count: int | None = None) -> list[int]:
        """The numbers of an input that must be known now, and be so many."""
        array = self.constant(index, what).ravel()
        if array.dtype.kind not in "iu" or count not in (None, array.size):
            raise ValueError(f"{what} of {array.size} {array.dtype}")
        return [int(number) for number in array]

    def integer(self, index: int, what: str) -> int:
        """The same for a single number."""
        return self.integers(index, what, 1)[0]

    def scales(self, index: int) -> Scales:
        """Quantisation of an input that is quantised."""
        tensor = self.tensors[index]
        if tensor is None or tensor.scales is None:
            raise Refusal("of quantised and other tensors mixed")
        return tensor.scales

    @property
    def result(self) -> Tensor:
        """The first output."""
        return self.results[0]

    @property
    def result_scales(self) -> Scales:
        """Quantisation of the first output, which is quantised."""
        if self.result.scales is None:
            raise Refusal("of quantised and other tensors mixed")
        return self.result.scales

    @property
    def is_quantised(self) -> bool:
        """Whether any input or output is."""
        return any(tensor and tensor.scales for tensor in (*self.tensors, *self.results))

    def axis(self, number: int, rank: int | None = None) -> int:
        """An axis counted from the front."""
        size = len(self.shape(0)) if rank is None else rank
        if not -size <= number < size:
            raise ValueError(f"axis {number} of {size}")
        return number % size

    def activated(self, value: Value, activation: int) -> Value:
        """A fused activation on real numbers."""
        if activation in q.CLIPS:
            return self.emit.clip(value, *q.CLIPS[activation])
        if activation == 4:
            return self.emit("tanh", value)
        raise Refusal(f"with the fused activation {activation}")


Results = Value | list[Value]
Lower = Callable[[Node], Results]


@dataclass(frozen=True)
class Rule:
    """How one operator is lowered.

    Attributes:
        lower: gives its outputs.
        quantised: the same where a tensor is quantised; it may answer with NotImplemented.
        complex_too: it takes `Complex` values.
    """

    lower: Lower
    quantised: Lower
    complex_too: bool

    def apply(self, node: Node) -> list[Value]:
        """The operator's outputs.

        Raises:
            Refusal: there is no rule for this form of it.
        """
        results: Any = NotImplemented
        if not self.complex_too and any(isinstance(value, Complex) for value in node.inputs):
            raise Refusal("of complex numbers")
        if node.is_quantised:
            results = self.quantised(node)
            if results is NotImplemented:
                results = via_float(self.lower)(node)
        else:
            results = self.lower(node)
        return results if isinstance(results, list) else [results]


RULES: dict[str, Rule] = {}


def via_float(lower: Lower) -> Lower:
    """On the real numbers that the integers stand for; one 8-bit input becomes a table."""

    def quantised(node: Node) -> Results:
        variable = [
            index
            for index, value in enumerate(node.inputs)
            if value is not None and not is_constant(value)
        ]
        if len(variable) == 1 and variable[0] == 0 and _same_everywhere(node):
            value = node.value(0)
            # As scalars, or their axes would become axes of the table.
            others = (other if other is None else other.reshape(()) for other in node.inputs[1:])
            every = replace(node, inputs=(q.codes(dtype_of(value)), *others))
            return q.looked_up(node.emit, value, _float(lower, every)[0])
        return _float(lower, node)

    return quantised


def _same_everywhere(node: Node) -> bool:
    """Whether a function of one 8-bit tensor treats all of its elements alike."""
    tensor = node.tensors[0]
    return (
        node.operator.name in ELEMENTWISE
        and tensor is not None
        and tensor.scales is not None
        and not tensor.scales.per_channel
        and dtype_of(node.value(0)) in ("int8", "uint8")
        and len(node.results) == 1
        and all(
            value is None or (value.size == 1 and value.ndim <= len(node.shape(0)))
            for value in node.inputs[1:]
        )
    )


# Operators whose every output element depends on the input element in its place alone.
ELEMENTWISE: set[str] = set()


def _float(lower: Lower, node: Node) -> list[Value]:
    inputs = tuple(
        q.dequantise(node.emit, value, tensor.scales)
        if value is not None and tensor is not None and tensor.scales is not None
        else value
        for value, tensor in zip(node.inputs, node.tensors, strict=True)
    )
    results = lower(replace(node, inputs=inputs))
    return [
        q.quantise(node.emit, value, tensor.scales, tensor.dtype) if tensor.scales else value
        for value, tensor in zip(
            results if isinstance(results, list) else [results], node.results, strict=True
        )
    ]


def moved(lower: Lower) -> Lower:
    """Elements are moved and not changed: as they are, then rescaled if the output differs."""

    def quantised(node: Node) -> Results:
        results = lower(node)
        source = node.tensors[0].scales if node.tensors[0] else None
        return [
            q.requantise(node.emit, value, source, tensor.scales, tensor.dtype)
            if source is not None and tensor.scales is not None
            else value
            for value, tensor in zip(
                results if isinstance(results, list) else [results], node.results, strict=True
            )
        ]

    return quantised


def _in_parts(lower: Lower) -> Lower:
    """Of complex numbers, the real and the imaginary parts are moved each by themselves."""

    def apart(node: Node) -> Results:
        value = node.inputs[0] if node.inputs else None
        if not isinstance(value, Complex):
            return lower(node)
        results = [
            lower(replace(node, inputs=(part, *node.inputs[1:])))
            for part in (value.real, value.imaginary)
        ]
        if isinstance(results[0], list):
            return [Complex(*parts) for parts in zip(*results, strict=True)]
        return Complex(*results)

    return apart


def itself(lower: Lower) -> Lower:
    """The rule deals with quantised tensors itself."""
    return lower


def rule(
    *names: str,
    quantised: Callable[[Lower], Lower] = via_float,
    instead: Lower | None = None,
    elementwise: bool = False,
    complex_too: bool = False,
) -> Callable[[Lower], Lower]:
    """Put a function into the table.

    Args:
        names: TFLite's names of the operators that it lowers.
        quantised: how quantised tensors go through it: `via_float`, `moved` or `itself`.
        instead: another function for quantised tensors.
        elementwise: see `ELEMENTWISE`.
        complex_too: it takes `Complex` values; what only moves elements always does.
    """

    def enter(lower: Lower) -> Lower:
        moves = quantised is moved
        made = _in_parts(lower) if moves else lower
        for name in names:
            RULES[name] = Rule(made, instead or quantised(lower), moves or complex_too)
            if elementwise:
                ELEMENTWISE.add(name)
        return lower

    return enter
