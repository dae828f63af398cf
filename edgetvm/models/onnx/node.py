"""One node of an ONNX graph, as converters see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.emitter import Emitter, array_of

if TYPE_CHECKING:
    import onnx

    from edgetvm.models.onnx.graph import GraphReader


@dataclass(frozen=True)
class Node:
    """An operator with its operands already converted.

    Attributes:
        operator: the ONNX operator's name.
        name: of the node in the file, or of its first output.
        inputs: Relax expressions; None for one that is left out.
        attributes: by name, as Python values; graphs as GraphProto.
        outputs: names of its outputs; empty for one that is left out.
        opset: version of the operator's domain.
        reader: the walk that met the node, for converters with graphs inside.
    """

    operator: str
    name: str
    inputs: Sequence[Any]
    attributes: Mapping[str, Any]
    outputs: Sequence[str]
    opset: int
    reader: GraphReader

    @property
    def emit(self) -> Emitter:
        """Where expressions go."""
        return self.reader.emitter

    @property
    def output_count(self) -> int:
        """Outputs that the node names."""
        return len(self.outputs)

    def wants(self, index: int) -> bool:
        """Whether an output has a name, so that something may use it."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def has(self, index: int) -> bool:
        """Whether an input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Any:
        """An input, or None for one that is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def kind(self, index: int) -> str:
        """What an input is: its dtype, or the narrow type that it carries."""
        return self.reader.kind_of(self.inputs[index])

    def constant(self, index: int) -> NDArray[Any] | None:
        """The array of an input that is given and constant, else None."""
        return array_of(self.inputs[index]) if self.has(index) else None

    def require(self, index: int, what: str) -> NDArray[Any]:
        """The array of an input that has to be constant.

        Raises:
            ModelUnreadableError: it is only known when the model runs.
        """
        array = self.constant(index)
        if array is None:
            raise self.refusal(f"its {what} is not constant", "bind the input that it comes from")
        return array

    def integers(self, attribute: str, index: int | None = None) -> list[int] | None:
        """Integers from an attribute (older opsets) or a constant input (newer ones), or None."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)]
        if index is not None and self.has(index):
            return [int(v) for v in np.ravel(self.require(index, attribute))]
        return None

    def apply(self, operator: str, *inputs: Any, **attributes: Any) -> Any:
        """The first output of an operator of ONNX's own on these expressions; None leaves one out.

        The model's opset holds, as if the operator stood in the file.
        """
        given = {name: value for name, value in attributes.items() if value is not None}
        return self.reader.apply(operator, inputs, given)

    def refusal(self, what: str, mend: str = "export the model without it") -> ModelUnreadableError:
        """An error that names this node."""
        return ModelUnreadableError(f"{self.operator} {self.name!r}: {what}", mend=mend)


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes by name, as Python values."""
    from onnx import helper

    values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [_text(one) for one in value]
    return value


# Given by a converter that leaves this node to the function by which ONNX defines the operator.
OPEN = object()

# A converter gives one expression, or one for each output of the node, or None for "not mine": then
# TVM's converter is asked. See also OPEN.
Converter = Callable[[Node], Any]
