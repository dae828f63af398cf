"""The tensors of a function, and when each is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.compile.memory.plan import Lifetime

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class Place:
    """Where a tensor lies.

    Attributes:
        owner: the allocated tensor in whose memory.
        offset_bytes: from where that begins.
    """

    owner: Any
    offset_bytes: int


@dataclass(frozen=True)
class Tensors:
    """The tensors of a function that is a plain list of kernel calls.

    Attributes:
        lifetimes: of each that is allocated, by its variable.
        outputs: those that the function returns.
        places: of each variable that is a tensor of the function's own memory.
    """

    lifetimes: dict[Any, Lifetime]
    outputs: set[Any]
    places: dict[Any, Place]


def tensors_of(module: IRModule, function: Any) -> Tensors | None:
    """The tensors of a function, or None where it is more than a list of kernel calls.

    Kernels are called by destination, or still give their results. `relax.concat` stands for no
    kernel: its result is where its parts are.
    """
    from tvm import relax

    reader = _Reader(module)
    for block in function.body.blocks:
        for binding in block.bindings:
            if not isinstance(binding, relax.VarBinding):
                return None
            if not reader.read(binding.var, binding.value):
                return None
    return reader.tensors(function.body.body)


class _Reader:
    """Follows a function's tensors through its bindings."""

    def __init__(self, module: IRModule) -> None:
        self.module = module
        self.steps = 0
        self.sizes: dict[Any, int] = {}
        self.uses: dict[Any, list[int]] = {}
        # What memory a variable is in: an allocated tensor's variable, a tuple of such, or None.
        self.memory: dict[Any, Any] = {}
        # Where a tensor begins within another one.
        self.within: dict[Any, Place] = {}

    def read(self, variable: Any, value: Any) -> bool:
        """Take in a binding. Answers whether it is of a kind that can be planned for."""
        import tvm
        from tvm import relax

        if not isinstance(value, relax.Call):
            self.memory[variable] = self.of(value)
            return not isinstance(value, relax.If | relax.Function)
        name = value.op.name if isinstance(value.op, tvm.ir.Op) else ""
        if name == "relax.builtin.alloc_tensor":
            return self._allocate(variable, value.args[0], value.args[1].value)
        if name == "relax.reshape":
            self.memory[variable] = self.of(value.args[0])
            return True
        if name == "relax.concat":
            return self._join(variable, value)
        if name == "relax.call_tir":
            made = self._make(variable, value.ty)
            return made and self._call(value.args[0], [value.args[1], variable])
        return isinstance(value.op, tvm.ir.GlobalVar) and self._call(value.op, value.args)

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

    def tensors(self, result: Any) -> Tensors:
        """What was found, in a function of that result."""
        places = {one: self._place(one) for one in self.sizes}
        sizes: dict[Any, int] = {}
        uses: dict[Any, list[int]] = {}
        for one, place in places.items():
            sizes[place.owner] = max(sizes.get(place.owner, 0), self.sizes[one])
            uses.setdefault(place.owner, []).extend(self.uses[one])
        return Tensors(
            lifetimes={
                owner: Lifetime(size, min(uses[owner]), max(uses[owner]))
                for owner, size in sizes.items()
                if uses[owner]
            },
            outputs={places[one].owner for one in _flat(self.of(result))},
            places={
                variable: places[one]
                for variable, one in self.memory.items()
                if one is not None and not isinstance(one, tuple)
            },
        )

    def _call(self, kernel: Any, arguments: Any) -> bool:
        from tvm import tirx

        for argument in arguments:
            for one in _flat(self.of(argument)):
                self.uses[one].append(self.steps)
        self.steps += 1
        return isinstance(self.module[kernel], tirx.PrimFunc)

    def _make(self, variable: Any, kind: Any) -> bool:
        """Memory for a kernel's results, whose type is given."""
        from tvm import relax

        if isinstance(kind, relax.TensorType):
            return kind.shape is not None and self._allocate(variable, kind.shape, kind.dtype)
        if not isinstance(kind, relax.TupleType):
            return False
        fields = [relax.Var(f"{variable.name}_{at}", one) for at, one in enumerate(kind.fields)]
        if not all(self._make(one, one.ty) for one in fields):
            return False
        self.memory[variable] = tuple(self.memory.get(one) for one in fields)
        return True

    def _allocate(self, variable: Any, shape: Any, dtype: Any) -> bool:
        size = _bytes(shape, dtype)
        if size is None:
            return False
        self.sizes[variable] = size
        self.uses[variable] = []
        self.memory[variable] = variable
        return True

    def _join(self, variable: Any, call: Any) -> bool:
        """Take each part as lying within the result, or the result round it."""
        axis, at = int(call.attrs.axis), 0
        self._allocate(variable, call.ty.shape, call.ty.dtype)
        for part in call.args[0].fields:
            self._unite(self._place(self.of(part)), self._place(variable), at)
            at += _bytes(list(part.ty.shape)[axis:], part.ty.dtype) or 0
        return True

    def _unite(self, one: Place, other: Place, offset: int) -> None:
        """Note that a tensor begins so many bytes behind another."""
        if one.owner.same_as(other.owner):
            return
        distance = other.offset_bytes + offset - one.offset_bytes
        if self.sizes[one.owner] > self.sizes[other.owner]:
            self.within[other.owner] = Place(one.owner, -distance)
        else:
            self.within[one.owner] = Place(other.owner, distance)

    def _place(self, variable: Any) -> Place:
        offset = 0
        while variable in self.within:
            place = self.within[variable]
            variable, offset = place.owner, offset + place.offset_bytes
        return Place(variable, offset)


def _bytes(shape: Any, dtype: Any) -> int | None:
    import tvm

    try:
        elements = math.prod(int(size) for size in shape)
    except TypeError:  # a size that is not known
        return None
    return elements * int(tvm.DataType(str(dtype)).itemsize)


def _flat(memory: Any) -> list[Any]:
    if isinstance(memory, tuple):
        return [owner for part in memory for owner in _flat(part)]
    return [] if memory is None else [memory]
