"""Runs the operators of a graph in their order, each by its rule."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.imported import converter_stopped
from edgetvm.models.tflite.budget import Budget
from edgetvm.models.tflite.emitter import Emitter, Value, dtype_of, is_tensor
from edgetvm.models.tflite.file import Graph, Operator, Tensor, TFLiteFile, cut_off
from edgetvm.models.tflite.operators import RULES
from edgetvm.models.tflite.rules import Node, Refusal


def plain(name: str) -> str:
    """A name of the file as a name in Relax; of a long one the end tells it apart."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII)[-60:].strip("_") or "unnamed"


class Lowering:
    """What is common to all graphs of one file while they are lowered.

    Attributes:
        budget: what is left of what lowering the file may cost.
        variables: current values of the file's variables, by name.
        refused: places of the operators whose form has no rule, by name and reason.
    """

    def __init__(self, file: TFLiteFile) -> None:
        self.file = file
        self.budget = Budget(file.size_bytes)
        self.variables: dict[str, Value] = {}
        self.refused: dict[str, list[str]] = {}
        self._open: list[int] = []

    def run(self, index: int, inputs: Sequence[Value | None], emit: Emitter) -> list[Value]:
        """Lower a graph in place; gives its outputs, None for those that a refusal made unknown.

        Raises:
            ModelUnreadableError: operators that do not fit together.
            ValueError: no such graph, one that calls itself, or one that takes other inputs.
        """
        graph = self.file.graph(index)
        if index in self._open:
            raise ValueError(f"graph {index} calls itself")
        if len(graph.inputs) != len(inputs):
            raise ValueError(f"graph {index} takes {len(graph.inputs)} inputs, not {len(inputs)}")
        self._open.append(index)
        label = emit.label
        values: dict[int, Value | None] = dict(zip(graph.inputs, inputs, strict=True))
        for operator in graph.operators:
            self._lower(operator, graph, values, emit)
        self._open.pop()
        emit.label = label
        return [self._value(number, graph, values) for number in graph.outputs]

    def _value(self, number: int, graph: Graph, values: dict[int, Value | None]) -> Value | None:
        if number < 0:
            return None
        if number in values:
            return values[number]
        tensor = graph.tensors[number]
        return self.variables.get(tensor.name) if tensor.variable else tensor.data

    def _lower(
        self, operator: Operator, graph: Graph, values: dict[int, Value | None], emit: Emitter
    ) -> None:
        self.budget.step()
        unknown = any(number in values and values[number] is None for number in operator.inputs)
        if unknown:  # the refusal that made it so is named already
            values.update(dict.fromkeys(operator.outputs))
            return
        node = Node(
            operator=operator,
            inputs=tuple(self._value(number, graph, values) for number in operator.inputs),
            tensors=tuple(
                graph.tensors[number] if number >= 0 else None for number in operator.inputs
            ),
            results=tuple(graph.tensors[number] for number in operator.outputs),
            emit=emit,
            run=lambda called, inputs: self.run(called, inputs, emit),
            variables=self.variables,
        )
        emit.label = operator.label
        try:
            results = RULES[operator.name].apply(node)
            _check(results, node.results)
        except Refusal as refusal:
            label = f"{operator.name} {refusal}"
            self.refused.setdefault(label, []).append(operator.place)
            values.update(dict.fromkeys(operator.outputs))
        except ModelUnreadableError:
            raise
        except struct.error as error:
            raise cut_off(self.file.path) from error
        except Exception as error:  # numpy's and TVM's own, for shapes and types that do not fit
            raise converter_stopped(
                error,
                self.file.path,
                "export the model anew",
                who=f"{operator.name} {operator.place}",
            ) from error
        else:
            values.update(zip(operator.outputs, results, strict=True))


def _check(results: Sequence[Value], tensors: Sequence[Tensor]) -> None:
    if len(results) != len(tensors):
        raise ValueError(f"{len(results)} outputs, and the file has {len(tensors)}")
    for value, tensor in zip(results, tensors, strict=True):
        if is_tensor(value) and dtype_of(value) != tensor.dtype:
            raise ValueError(f"it gives {dtype_of(value)}, and the file says {tensor.dtype}")
