"""Which kernel makes each tensor of a function, and what else has to do with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgetvm.compile.memory.expressions import is_kernel_call, variables


@dataclass
class Uses:
    """What has to do with a tensor.

    Attributes:
        kernels: that read it or make it.
        shapes: in which it is seen, its own first.
        elsewhere: whether it goes into anything else: it is returned, say.
    """

    kernels: list[Any]
    shapes: list[list[int]]
    elsewhere: bool = False


@dataclass
class Flow:
    """The tensors of a function that is a plain list of kernel calls.

    Attributes:
        made: each tensor that a kernel gives as its only result, and the call.
        uses: of those.
        tensors: for each variable that is such a tensor, or a view of one, that tensor.
    """

    made: dict[Any, Any] = field(default_factory=dict)
    uses: dict[Any, Uses] = field(default_factory=dict)
    tensors: dict[Any, Any] = field(default_factory=dict)

    def of(self, value: Any) -> Uses | None:
        """The uses of the tensor that a value is."""
        from tvm import relax

        known = isinstance(value, relax.Var) and value in self.tensors
        return self.uses[self.tensors[value]] if known else None


def flow_of(function: Any) -> Flow:
    """The flow of a function whose kernels still give their results."""
    import tvm
    from tvm import relax

    flow = Flow()
    reshape = tvm.ir.Op.get("relax.reshape")
    for block in function.body.blocks:
        for binding in block.bindings:
            variable, value = binding.var, binding.value
            op = value.op if isinstance(value, relax.Call) else None
            if is_kernel_call(value):
                _note_call(flow, variable, value)
            elif isinstance(value, relax.Var) and value in flow.tensors:
                flow.tensors[variable] = flow.tensors[value]
            elif op == reshape and (source := flow.of(value.args[0])) is not None:
                flow.tensors[variable] = flow.tensors[value.args[0]]
                source.shapes.append(_shape(variable))
            else:
                _note_others(flow, value)
    _note_others(flow, function.body.body)
    return flow


def _note_call(flow: Flow, variable: Any, call: Any) -> None:
    from tvm import relax

    kernel = call.args[0]
    for argument in call.args[1].fields:
        if (uses := flow.of(argument)) is not None:
            uses.kernels.append(kernel)
    if isinstance(call.ty, relax.TensorType):
        flow.made[variable] = call
        flow.uses[variable] = Uses([kernel], [_shape(variable)])
        flow.tensors[variable] = variable


def _shape(variable: Any) -> list[int]:
    return [int(size) for size in variable.ty.shape]


def _note_others(flow: Flow, value: Any) -> None:
    for variable in variables([value]):
        if (uses := flow.of(variable)) is not None:
            uses.elsewhere = True
