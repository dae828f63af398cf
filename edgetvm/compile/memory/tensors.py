"""The tensors of a function, and when each is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.memory.plan import Lifetime

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class Tensors:
    """The tensors of a function that is a plain list of kernel calls.

    Attributes:
        lifetimes: of each that is allocated, by its variable.
        outputs: those that the function returns.
        owner: the allocated one behind each variable that is a tensor of its memory.
    """

    lifetimes: dict[Any, Lifetime]
    outputs: set[Any]
    owner: dict[Any, Any]


def tensors_of(module: IRModule, function: Any) -> Tensors | None:
    """The tensors of a function, or None where it is more than a list of kernel calls."""
    from tvm import relax

    reader = _Reader(module)
    for block in function.body.blocks:
        for binding in block.bindings:
            if not isinstance(binding, relax.VarBinding):
                return None
            if not reader.read(binding.var, binding.value):
                return None
    return Tensors(
        lifetimes={
            variable: Lifetime(size, min(reader.uses[variable]), max(reader.uses[variable]))
            for variable, size in reader.sizes.items()
            if reader.uses[variable]
        },
        outputs=set(_flat(reader.of(function.body.body))),
        owner={
            variable: owner
            for variable, owner in reader.memory.items()
            if owner is not None and not isinstance(owner, tuple)
        },
    )


class _Reader:
    """Follows a function's tensors through its bindings."""

    def __init__(self, module: IRModule) -> None:
        self.module = module
        self.steps = 0
        self.sizes: dict[Any, int] = {}
        self.uses: dict[Any, list[int]] = {}
        # What memory a variable is in: an allocated tensor's variable, a tuple of such, or None.
        self.memory: dict[Any, Any] = {}

    def read(self, variable: Any, value: Any) -> bool:
        """Take in a binding. Answers whether it is of a kind that can be planned for."""
        import tvm
        from tvm import relax, tirx

        if not isinstance(value, relax.Call):
            self.memory[variable] = self.of(value)
            return not isinstance(value, relax.If | relax.Function)
        if value.op == tvm.ir.Op.get("relax.builtin.alloc_tensor"):
            return self._allocate(variable, value)
        if value.op == tvm.ir.Op.get("relax.reshape"):
            self.memory[variable] = self.of(value.args[0])
            return True
        if isinstance(value.op, tvm.ir.GlobalVar):
            for argument in value.args:
                for owner in _flat(self.of(argument)):
                    self.uses[owner].append(self.steps)
            self.steps += 1
            return isinstance(self.module[value.op], tirx.PrimFunc)
        return False

    def of(self, value: Any) -> Any:
        """What memory a value is in."""
        from tvm import relax

        if isinstance(value, relax.Var):
            return self.memory.get(value)
        if isinstance(value, relax.Tuple):
            return tuple(self.of(field) for field in value.fields)
        if isinstance(value, relax.TupleGetItem):
            fields = self.of(value.tuple_value)
            return fields[value.index] if isinstance(fields, tuple) else None
        return None

    def _allocate(self, variable: Any, call: Any) -> bool:
        import tvm

        try:
            elements = math.prod(int(size) for size in call.args[0])
        except TypeError:  # a size that is not known
            return False
        self.sizes[variable] = elements * tvm.DataType(str(call.args[1].value)).itemsize
        self.uses[variable] = []
        self.memory[variable] = variable
        return True


def _flat(memory: Any) -> list[Any]:
    if isinstance(memory, tuple):
        return [owner for part in memory for owner in _flat(part)]
    return [] if memory is None else [memory]
