"""Which order of axes each convolution takes: by what it costs, permutations round it included."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgetvm.compile.integers.matching import BYTES, Matcher, dtype_of
from edgetvm.compile.layout.stored import Order, identity, is_constant, shape_of
from edgetvm.compile.origins import bindings_of


@dataclass(frozen=True)
class Cost:
    """What a convolution costs.

    Attributes:
        last, first: with its channels there.
        blocks: where it reads channels in blocks.
        move: of an element that is moved.
    """

    last: float
    first: float
    blocks: float
    move: float


# From a convolution's call to its cost; None where that is not known.
Costs = Callable[[Any], "Cost | None"]

# Costs are estimates: channels first must be cheaper by so much.
_CLEARLY = 0.8
# Operators whose result lies as their operand does.
_CARRYING = frozenset(
    f"relax.{name}"
    for name in """
    abs add clip concat divide erf exp maximum minimum multiply negative sigmoid sqrt subtract tanh
    nn.gelu nn.leakyrelu nn.pad nn.prelu nn.relu nn.silu nn.softplus power rsqrt strided_slice
    nn.avg_pool2d nn.max_pool2d image.resize2d
    """.split()
)
# Those of them that work as well on blocks of channels.
_ALONG = _CARRYING - {f"relax.{name}" for name in ("concat", "nn.pad", "nn.prelu", "strided_slice")}
# A value is followed through so many operators.
_FARTHEST = 64


class Choice:
    """The orders of a function's convolutions."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._readers: dict[Any, list[Any]] = {}
        self._matcher = Matcher({}.get)

    def look_at(self, function: Any) -> None:
        """Note what makes and what reads each variable of a function."""
        self._readers = readers_of(function)
        made = {binding.var: binding.value for binding in bindings_of(function)}
        self._matcher = Matcher(made.get)

    def order(self, variable: Any, call: Any, lying: Order, last: Order, first: Order) -> Order:
        """The order of a convolution.

        Args:
            variable: that its result is bound to.
            call: of the model.
            lying: the order of its input.
            last, first: the orders that put channels there.
        """
        costs = self._known(call)
        if costs is None:
            return last
        given, made = shape_of(call.args[0]), shape_of(call)
        wanted = self.wanted(variable)

        def total(order: Order, sums: float) -> float:
            moved = _moved(given, lying, order)
            moved += sum(_moved(made, order, other) for other in wanted)
            return sums + costs.move * moved

        return first if total(first, costs.first) < _CLEARLY * total(last, costs.last) else last

    def in_blocks(self, variable: Any, call: Any) -> bool:
        """Whether a convolution's result is to lie in blocks of channels.

        That is where it moves nothing, and those that read it in the end cost less in sum.
        """
        return self._known(call) is not None and self._saved_by_blocks(variable) > 0

    def is_quantised(self, call: Any) -> bool:
        """Whether a convolution's data are 8-bit integers, or stand for such."""
        data = call.args[0]
        return dtype_of(data) in BYTES or self._matcher.dequantised(data) is not None

    def _saved_by_blocks(self, variable: Any) -> float:
        """What blocks save those that read a value; what is depthwise hands them on."""
        ends, saved = self._ends(variable), 0.0
        for one in ends or ():
            cost = self._known(one.value)
            saved += -math.inf if cost is None else cost.last - cost.blocks
            saved += self._saved_by_blocks(one.var) if is_depthwise(one.value) else 0.0
        return -math.inf if ends is None else saved

    def _ends(self, variable: Any) -> list[Any] | None:
        """The convolutions that read a value in the end; None where something else reads it too.

        Means do not count. What is computed from other large tensors as well is something else.
        """
        found: list[Any] = []
        waiting, seen, joined = [variable], {variable}, []
        while waiting:
            one = waiting.pop()
            for reader in self._readers.get(one, []):
                value: Any = None if reader is None else reader.value
                name = _name(value)
                if name == "relax.nn.conv2d" and one.same_as(value.args[0]):
                    found.append(reader)
                elif name in _ALONG and len(seen) < _FARTHEST:
                    joined += [argument for argument in value.args if _is_variable(argument)]
                    waiting += [] if reader.var in seen else [reader.var]
                    seen.add(reader.var)
                elif name != "relax.mean":
                    return None
        size = math.prod(shape_of(variable) or ())
        others = [one for one in joined if one not in seen]
        return found if all(math.prod(shape_of(one) or ()) < size for one in others) else None

    def _known(self, call: Any) -> Cost | None:
        """The costs; not of what will be summed in integers: those kernels have channels last."""
        return None if self.is_quantised(call) else self._costs(call)

    def wanted(self, variable: Any) -> set[Order]:
        """The orders in which a value is read in the end."""
        found: set[Order] = set()
        waiting, seen = [variable], 0
        while waiting and seen < _FARTHEST:
            one = waiting.pop()
            seen += 1
            for reader in self._readers.get(one, []):
                following = self._read(one, reader, found)
                if following is not None:
                    waiting.append(following)
        return found

    def _read(self, variable: Any, reader: Any, found: set[Order]) -> Any:
        """Note the order in which a binding reads a value, or answer with what carries it on."""
        from tvm import relax

        plain = identity(len(shape_of(variable) or ()))
        value: Any = None if reader is None else reader.value
        if isinstance(value, (relax.Var, relax.TupleGetItem)):
            return reader.var
        name = _name(value)
        if name in _CARRYING:
            return reader.var
        if name == "relax.permute_dims" and value.attrs.axes is not None:
            found.add(tuple(int(axis) for axis in value.attrs.axes))
        elif name.startswith("relax.nn.conv") and variable.same_as(value.args[0]):
            found.add(self._preferred(value))
        else:
            found.add(plain)
        return None

    def _preferred(self, call: Any) -> Order:
        """The order that a convolution would have, were it alone."""
        costs = self._known(call)
        last, first = orders_of(str(call.attrs.data_layout))
        return first if costs is not None and costs.first < _CLEARLY * costs.last else last


def _name(value: Any) -> str:
    return str(getattr(getattr(value, "op", None), "name", ""))


def _is_variable(argument: Any) -> bool:
    from tvm import relax

    return isinstance(argument, relax.Var)


def is_depthwise(call: Any) -> bool:
    """Whether a convolution sums each of its channels by itself."""
    weights, kernel = shape_of(call.args[1]), str(call.attrs.kernel_layout)
    groups = int(call.attrs.groups)
    return (
        weights is not None
        and weights[kernel.index("I")] == 1
        and weights[kernel.index("O")] == groups > 1
    )


def orders_of(layout: str) -> tuple[Order, Order]:
    """From a layout's letters to the orders that put channels last and first."""
    spatial = layout.replace("N", "").replace("C", "")
    return (
        tuple(layout.index(letter) for letter in f"N{spatial}C"),
        tuple(layout.index(letter) for letter in f"NC{spatial}"),
    )


def possible_blocks(call: Any, lanes: int) -> tuple[int, int]:
    """The channels of a block that a convolution's data and its result can have; 0 for none.

    Blocks are whole, and pay only where there are several pixels.
    """
    shape, made = shape_of(call.args[0]), shape_of(call)
    if shape is None or made is None or call.op.name != "relax.nn.conv2d":
        return 0, 0
    channel = str(call.attrs.data_layout).index("C")
    whole = [extents[channel] % lanes == 0 for extents in (shape, made)]
    if (
        lanes == 1
        or str(call.ty.dtype) != "float32"
        or not is_constant(call.args[1])
        or math.prod(made) == made[0] * made[channel]
        or (int(call.attrs.groups) > 1 and not (is_depthwise(call) and all(whole)))
    ):
        return 0, 0
    return lanes * whole[0], lanes * whole[1]


def _moved(shape: tuple[int, ...] | None, order: Order, other: Order) -> int:
    """Elements that move when a tensor is permuted; none where only axes of extent 1 do."""
    if shape is None or len(order) != len(other):
        return 0
    long = [[axis for axis in one if shape[axis] != 1] for one in (order, other)]
    return 0 if long[0] == long[1] else math.prod(shape)


def readers_of(function: Any) -> dict[Any, list[Any]]:
    """The bindings that read each variable; None stands for the end of a function or branch."""
    from tvm import relax
    from tvm.relax.analysis import free_vars

    found: dict[Any, list[Any]] = defaultdict(list)

    def visit(body: Any) -> None:
        if not isinstance(body, relax.SeqExpr):
            return
        for block in body.blocks:
            for binding in block.bindings:
                value = binding.value
                branches = isinstance(value, relax.If)
                for variable in free_vars(value.cond if branches else value):
                    found[variable].append(None if branches else binding)
                if branches:
                    visit(value.true_branch)
                    visit(value.false_branch)
        for variable in free_vars(body.body):
            found[variable].append(None)

    visit(function.body)
    return dict(found)
