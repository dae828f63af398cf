"""One call of an exported program, as converters see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.emitter import Emitter


@dataclass(frozen=True)
class Call:
    """An operator with its operands already converted.

    Attributes:
        operator: its name in PyTorch, `aten.convolution.default`.
        label: of the node: its module's path, or its name in the program.
        arguments: by the names in the operator's schema, with its defaults; tensors are Relax
            expressions.
        emit: where expressions go.
        dtype: of the result (of the first one) in PyTorch, by numpy's name.
        shape: of the result (of the first one).
    """

    operator: str
    label: str
    arguments: Mapping[str, Any]
    emit: Emitter
    dtype: str
    shape: tuple[int, ...]

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def refusal(
        self, what: str, mend: str = "export the module without it"
    ) -> ModelUnreadableError:
        """An error that names this node."""
        return ModelUnreadableError(f"{self.operator} {self.label!r}: {what}", mend=mend)


# A converter gives one expression, or a list with one for each result.
Converter = Callable[[Call], Any]
