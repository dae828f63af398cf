"""A model as a list of kernel calls on blocks of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.compile.memory.kernels import size_bytes
from edgetvm.compile.memory.plan import aligned

if TYPE_CHECKING:
    from tvm.ir import IRModule


@dataclass(frozen=True)
class Place:
    """Where a tensor begins.

    Attributes:
        block: its number in `Program.block_bytes`; None for the constants.
        offset_bytes: from the beginning of the block.
    """

    block: int | None
    offset_bytes: int


@dataclass(frozen=True)
class Call:
    """A call of a kernel: its name, and where its tensors are, in the order of its parameters."""

    kernel: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Program:
    """A model that is a plain list of kernel calls.

    Attributes:
        calls: in their order.
        block_bytes: size of each block: the arena, the inputs, the outputs.
        constants: bytes, in the order in which they lie, each at the next aligned place.
    """

    calls: tuple[Call, ...]
    block_bytes: tuple[int, ...]
    constants: tuple[NDArray[np.uint8], ...]


def program_of(module: IRModule) -> Program | None:
    """The main function, with its memory planned, as a program.

    None where it is more than a list of kernel calls, or an output is no tensor of its own: then
    only TVM's virtual machine can run it.
    """
    try:
        return _Reader(module).read(module["main"])
    except _NotPlain:
        return None


class _NotPlain(Exception):
    """The function needs the virtual machine."""


@dataclass(frozen=True, eq=False)
class _Storage:
    """Memory that is allocated, or given by the caller."""

    size_bytes: int


@dataclass(frozen=True)
class _Tensor:
    """A tensor in a storage; in none if it is a constant."""

    storage: _Storage | None
    offset_bytes: int


class _Constants:
    """Constants in the order of their first use; equal ones lie in one place."""

    def __init__(self) -> None:
        self.contents: list[NDArray[np.uint8]] = []
        self._size_bytes = 0
        self._offsets: dict[bytes, int] = {}

    def offset_of(self, array: NDArray[np.generic]) -> int:
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        digest = sha256(content.data).digest()
        if digest not in self._offsets:
            self._offsets[digest] = self._size_bytes
            self.contents.append(content)
            self._size_bytes += aligned(content.size)
        return self._offsets[digest]


class _Reader:
    """Follows a function's tensors through its bindings."""

    def __init__(self, module: IRModule) -> None:
        self.module = module
        self.calls: list[tuple[str, list[_Tensor]]] = []
        self.constants = _Constants()
        self.storages: list[_Storage] = []
        # What a variable is: a storage, a tensor, a tuple of such, or None where it is nothing.
        self.known: dict[Any, Any] = {}

    def read(self, function: Any) -> Program:
        """The function as a program."""
        from tvm import relax

        inputs = [_Storage(_size_bytes(one.ty)) for one in function.params]
        for parameter, storage in zip(function.params, inputs, strict=True):
            self.known[parameter] = _Tensor(storage, 0)
        for block in function.body.blocks:
            for binding in block.bindings:
                if not isinstance(binding, relax.VarBinding):
                    raise _NotPlain
                self.known[binding.var] = self.value(binding.value)
        return self._program(inputs, _flat(self.value(function.body.body)))

    def value(self, value: Any) -> Any:
        """What a bound value is."""
        import tvm
        from tvm import relax
        from tvm.ir.expr import GenericConst

        if isinstance(value, relax.Call):
            kernel = isinstance(value.op, tvm.ir.GlobalVar)
            return self._kernel(value) if kernel else self._operator(value)
        if isinstance(value, relax.Var):
            return self.known[value]
        if isinstance(value, relax.Tuple):
            return tuple(self.value(one) for one in value.fields)
        if isinstance(value, relax.TupleGetItem):
            return self.value(value.tuple_value)[value.index]
        if isinstance(value, GenericConst):
            return _Tensor(None, self.constants.offset_of(value.value.numpy()))
        raise _NotPlain

    def _kernel(self, call: Any) -> None:
        from tvm import tirx

        tensors = [self.value(argument) for argument in call.args]
        plain = all(isinstance(one, _Tensor) for one in tensors)
        if not plain or not isinstance(self.module[call.op], tirx.PrimFunc):
            raise _NotPlain
        self.calls.append((call.op.name_hint, tensors))

    def _operator(self, call: Any) -> Any:
        name = getattr(call.op, "name", "")
        if name == "relax.memory.alloc_storage":
            self.storages.append(_Storage(math.prod(int(size) for size in call.args[0])))
            return self.storages[-1]
        if name == "relax.memory.alloc_tensor":
            return _Tensor(self.value(call.args[0]), int(call.args[1].value))
        if name == "relax.reshape":
            return self.value(call.args[0])
        raise _NotPlain

    def _program(self, inputs: list[_Storage], returned: list[_Tensor]) -> Program:
        outputs = [one.storage for one in returned]
        arenas = [one for one in self.storages if one not in outputs]
        whole = not any(one.offset_bytes for one in returned)
        if len(arenas) > 1 or len(self.storages) - len(arenas) != len(outputs) or not whole:
            raise _NotPlain
        blocks = [*(arenas or [_Storage(0)]), *inputs, *outputs]
        numbers: dict[_Storage | None, int | None] = {None: None}
        numbers |= {block: number for number, block in enumerate(blocks)}
        calls = [
            Call(name, tuple(Place(numbers[one.storage], one.offset_bytes) for one in tensors))
            for name, tensors in self.calls
        ]
        sizes = tuple(one.size_bytes for one in blocks if one is not None)
        return Program(tuple(calls), sizes, tuple(self.constants.contents))


def _size_bytes(kind: Any) -> int:
    from tvm import relax

    size = size_bytes(kind) if isinstance(kind, relax.TensorType) else None
    if size is None:
        raise _NotPlain
    return size


def _flat(value: Any) -> list[_Tensor]:
    if isinstance(value, tuple):
        return [one for part in value for one in _flat(part)]
    if not isinstance(value, _Tensor):
        raise _NotPlain
    return [value]
