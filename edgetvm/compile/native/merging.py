"""Kernels that differ in numbers alone become one, for small code.

Layers of one kind are the same loops with other extents and strides. Their numbers go into tables,
and the one function that is left is given a table. It is slower: what were constants are loaded,
and loops whose length is not known are not optimised for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Of extents, strides and places.
_NUMBERS = ("int32", "int64")


@dataclass(frozen=True)
class Use:
    """What a kernel has become.

    Attributes:
        kernel: whose function it is.
        numbers: int32, a table of which the function is given behind its tensors; none where it
            has them all in its code.
    """

    kernel: str
    numbers: tuple[int, ...] = ()


NOTHING_MERGED: Mapping[str, Use] = {}


class Merging:
    """The pass on plain kernels; `uses` tells by name what became of each."""

    def __init__(self) -> None:
        self.uses: dict[str, Use] = {}

    def __call__(self, module: IRModule) -> IRModule:
        from tvm import tirx

        alike: dict[int, list[_Kernel]] = defaultdict(list)
        # In one order, so that building twice gives the same bytes.
        for variable, function in sorted(
            module.functions_items(), key=lambda one: one[0].name_hint
        ):
            if isinstance(function, tirx.PrimFunc):
                kernel = _Kernel(variable, function)
                alike[kernel.form].append(kernel)
        result = module.clone()
        for kernels in alike.values():
            self._merge(result, kernels)
        return result

    def _merge(self, module: IRModule, kernels: Sequence[_Kernel]) -> None:
        first = kernels[0]
        same = [one for one in kernels if first.becomes(one)]
        columns = list(zip(*(one.numbers for one in same), strict=True))
        told = list(dict.fromkeys(column for column in columns if len(set(column)) > 1))
        if told:
            module[first.variable] = first.with_table(columns, told)
        for at, kernel in enumerate(same):
            numbers = tuple(column[at] for column in told)
            self.uses[kernel.name] = Use(first.name, numbers)
            if at:
                del module[kernel.variable]
        for kernel in kernels:
            self.uses.setdefault(kernel.name, Use(kernel.name))


class _Kernel:
    """A kernel, and the numbers that may be given to it.

    Attributes:
        numbers: in the order in which they are met.
        form: hash of what is left without them.
    """

    def __init__(self, variable: Any, function: Any) -> None:
        import tvm_ffi

        self.variable, self.name, self._function = variable, variable.name_hint, function
        self._fixed = _fixed(function.body)
        self.numbers: list[int] = []
        erased = self._with([1] * len(self._found()))
        self.numbers = self._found()
        self.form = int(tvm_ffi.structural_hash(erased, map_free_vars=True))

    def _found(self) -> list[int]:
        found: list[int] = []

        def note(number: Any) -> Any:
            if self._may_change(number):
                found.append(int(number.value))
            return number

        self._mapped(note)
        return found

    def _may_change(self, number: Any) -> bool:
        return str(number.ty.dtype) in _NUMBERS and number.__chandle__() not in self._fixed

    def _mapped(self, change: Any) -> Any:
        import tvm_ffi
        from tvm import tirx

        return tvm_ffi.structural_map(self._function.body, (tirx.IntImm, change), order="post")

    def _with(self, numbers: Sequence[Any]) -> Any:
        """The function with other numbers, or expressions, in their places."""
        from tvm import tirx

        left = iter(numbers)

        def change(number: Any) -> Any:
            if not self._may_change(number):
                return number
            value, dtype = next(left), str(number.ty.dtype)
            if isinstance(value, int):
                return tirx.IntImm(dtype, value)
            return value if dtype == "int32" else tirx.Cast(dtype, value)

        body = self._mapped(change)
        function = self._function
        return tirx.PrimFunc(function.params, body, function.ret_type)

    def with_table(self, columns: Sequence[Any], told: Sequence[Any]) -> Any:
        """The function that takes numbers from a table.

        Args:
            columns: for each number, what it is in each of the kernels.
            told: those of the columns that the table has.
        """
        from tvm import ir, tirx

        place = tirx.Var("numbers", ir.PointerType(ir.PrimType("int32")))
        table = tirx.decl_buffer((len(told),), "int32", name="table", data=place)
        numbers = [tirx.Var(f"n{at}", "int32") for at in range(len(told))]
        binds = [
            tirx.Bind(number, tirx.BufferLoad(table, [at])) for at, number in enumerate(numbers)
        ]
        by_column = dict(zip(told, numbers, strict=True))
        made = self._with([by_column.get(column, column[0]) for column in columns])
        body = tirx.SeqStmt([tirx.DeclBuffer(table, data=place), *binds, made.body])
        function = self._function
        return tirx.PrimFunc([*function.params, place], body, function.ret_type, function.attrs)

    def becomes(self, other: _Kernel) -> bool:
        """Whether it is another kernel when it has the numbers of that one."""
        import tvm_ffi

        if len(self.numbers) != len(other.numbers):
            return False
        return bool(tvm_ffi.structural_equal(self._with(other.numbers), other._with(other.numbers)))


def _fixed(body: Any) -> set[int]:
    """Handles of numbers that must be constants: of calls, attributes, strides of vectors, and the
    extents of a kernel's own memory."""
    import tvm_ffi
    from tvm import ir, tirx

    found: set[int] = set()

    def fix(*values: Any) -> None:
        found.update(one.__chandle__() for one in values if isinstance(one, tirx.IntImm))

    tvm_ffi.structural_walk(
        body,
        [
            (ir.Call, lambda call: fix(*call.args)),
            (tirx.AttrStmt, lambda attribute: fix(attribute.value)),
            (tirx.Ramp, lambda ramp: fix(ramp.stride)),
            (tirx.AllocBuffer, lambda made: fix(*made.buffer.shape)),
        ],
        order="pre",
    )
    return found
