"""What a model keeps from run to run: its variables, and the state tensors of its operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgetvm.models.tflite.emitter import Emitter, Value, dtype_of, is_constant
from edgetvm.models.tflite.file import Graph, Tensor
from edgetvm.models.tflite.lowering import Lowering
from edgetvm.models.tflite.operators.control import handle_name
from edgetvm.models.tflite.operators.recurrent import kept_tensors


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable that one run reads and the next may find changed.

    Attributes:
        name: in the file, and of the state's input.
        tensor: that READ_VARIABLE gives, or the state tensor itself.
        initial: what each element is before the first run.
    """

    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    initial: float

    @property
    def next_name(self) -> str:
        """The state's output."""
        return f"{self.name}/next"


def variables_of(lowering: Lowering, graphs: Sequence[Graph]) -> list[Variable]:
    """The variables that are read, in the order of their first reading, then the state tensors.

    Those that nothing but CALL_ONCE assigns stay in `lowering.variables`, as constants.
    """
    main = lowering.file.graph(0)
    initialisers = [
        operator.options("CallOnceOptions").InitSubgraphIndex()
        for operator in main.operators
        if operator.name == "CALL_ONCE"
    ]
    for index in initialisers:
        lowering.run(index, [], Emitter(None, lowering.budget))
    skipped = {id(lowering.file.graph(index)) for index in initialisers}
    running = [graph for graph in graphs if id(graph) not in skipped]
    read: dict[str, Tensor] = {}
    assigned = set()
    for graph in running:
        names = {
            operator.outputs[0]: handle_name(operator)
            for operator in graph.operators
            if operator.name == "VAR_HANDLE"
        }
        for operator in graph.operators:
            if operator.name == "READ_VARIABLE" and operator.inputs[0] in names:
                read.setdefault(names[operator.inputs[0]], graph.tensors[operator.outputs[0]])
            if operator.name == "ASSIGN_VARIABLE":
                assigned.add(names.get(operator.inputs[0], ""))
    variables = [
        _variable(name, tensor, lowering.variables.get(name))
        for name, tensor in read.items()
        if name in assigned
    ]
    kept = [tensor for operator in main.operators for tensor in kept_tensors(operator, main)]
    return variables + [_variable(tensor.name, tensor, None) for tensor in kept]


def _variable(name: str, tensor: Tensor, value: Value | None) -> Variable:
    if value is None:  # nothing initialises it: it begins with zeros
        shape = tuple(size for size in tensor.shape if size is not None)
        if len(shape) != len(tensor.shape):
            raise ValueError(f"variable {name!r} has no shape")
        zero = tensor.scales.zero_point[0] if tensor.scales is not None else 0
        return Variable(name, tensor, shape, float(zero))
    if not is_constant(value) or dtype_of(value) != tensor.dtype:
        raise ValueError(f"variable {name!r} begins with what is no {tensor.dtype}")
    numbers = np.unique(value)
    if numbers.size > 1:
        raise ValueError(f"variable {name!r} begins with different numbers")
    return Variable(name, tensor, value.shape, float(numbers[0]) if numbers.size else 0.0)
