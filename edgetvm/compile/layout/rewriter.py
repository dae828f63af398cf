"""The pass that lets every tensor lie in the order that its convolutions want.

A permutation is not computed where the model asks for it, only where an operator needs the elements
in another order than they are in: so permutations travel forward through everything that works as
well on permuted tensors, and cancel each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.layout.choice import Choice, Costs, is_depthwise, orders_of, possible_blocks
from edgetvm.compile.layout.handlers import HANDLERS
from edgetvm.compile.layout.stored import (
    Order,
    Stored,
    channels_last,
    identity,
    is_constant,
    rearranged,
)

if TYPE_CHECKING:
    from tvm.ir import IRModule


class Layouts:
    """What handlers ask: how operands are stored, and how to have them in another order."""

    def __init__(self, mutator: Any, layout: str, choice: Choice | None, lanes: int) -> None:
        self._mutator = mutator
        self._layout = layout
        self._choice = choice
        self._lanes = lanes
        self.variable: Any = None
        self.orders: dict[Any, Stored] = {}
        self._made: dict[tuple[Any, ...], Any] = {}

    def order_of_convolution(self, call: Any) -> Order:
        """The order in which a convolution is computed."""
        last, first = orders_of(str(call.attrs.data_layout))
        if self._choice is not None and self._choice.is_quantised(call):
            return last  # as what sums integers has them
        if self._layout == "auto" and self._choice is not None:
            data = self.lying(call.args[0])
            lying = last if data.block else data.order
            return self._choice.order(self.variable, call, lying, last, first)
        return first if self._layout == "NCHW" else last

    def blocks_of_convolution(self, call: Any) -> tuple[int, int]:
        """The channels of a block of a convolution's data and of its result; 0 for none."""
        if self._choice is not None and self._choice.is_quantised(call):
            return 0, 0
        possible = possible_blocks(call, self._lanes)
        if self._layout == "NCHWc":
            return possible
        if self._layout != "auto" or self._choice is None:
            return 0, 0
        given = min(possible[0], self.lying(call.args[0]).block)
        if is_depthwise(call):
            return given, given
        return given, possible[1] if self._choice.in_blocks(self.variable, call) else 0

    def is_read_in(self, order: Order) -> bool:
        """Whether all that reads the variable which is bound now wants it in one order."""
        return self._choice is not None and self._choice.wanted(self.variable) == {order}

    def look_at(self, function: Any) -> None:
        """Begin with a function."""
        if self._choice is not None:
            self._choice.look_at(function)

    def stored(self, argument: Any) -> Stored:
        """How an operand of the original call lies in memory; blocks are put together first."""
        operand = self.lying(argument)
        if not operand.block:
            return operand
        order = tuple(operand.order[place] for place in channels_last(operand.rank))
        return Stored(self.ordered(operand, order), order)

    def lying(self, argument: Any) -> Stored:
        """How an operand of the original call lies in memory, be it in blocks."""
        if argument in self.orders:
            return self.orders[argument]
        expr = self._mutator.visit_expr(argument)
        shape = getattr(expr.ty, "shape", None)
        return Stored(expr, identity(0 if shape is None else len(shape)))

    def ordered(self, operand: Stored, order: Order, block: int = 0) -> Any:
        """The operand in that order, with blocks of so many channels; made once."""
        if (operand.order, operand.block) == (order, block):
            return operand.expr
        key = (operand.expr, operand.order, operand.block, order, block)
        if key not in self._made:
            self._made[key] = rearranged(operand, order, block, self.emit)
        return self._made[key]

    def emit(self, expr: Any) -> Any:
        """A variable for a step on the way."""
        return self._mutator.builder_.emit(expr)

    def plain(self, variable: Any) -> Any:
        """A variable in the model's own order."""
        stored = self.orders[variable]
        return self.ordered(stored, identity(stored.rank))

    def branch(self) -> tuple[Any, Any]:
        """What is known now: to go back to after a branch, whose variables are not seen outside."""
        return dict(self.orders), dict(self._made)

    def back(self, known: tuple[Any, Any]) -> None:
        """Forget what a branch has made."""
        self.orders, self._made = known


def choose_layouts(
    module: IRModule, layout: str = "auto", costs: Costs | None = None, lanes: int = 1
) -> IRModule:
    """Each convolution in the order that costs least, with as few permutations as are left.

    Args:
        module: of Relax operators.
        layout: `auto`, or the one that all convolutions take: `NHWC`, `NCHW`, or `NCHWc`, which is
            blocks of channels, where channels fill them.
        costs: by which `auto` chooses; `NHWC` for all without them.
        lanes: channels of a block.
    """
    from tvm import relax

    rewriter = _rewriter(module, layout, None if costs is None else Choice(costs), lanes)
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            rewriter.layouts.look_at(function)
            rewriter.builder_.update_func(variable, rewriter.visit_expr(function))
    result: IRModule = rewriter.builder_.get()
    return result


def _rewriter(module: IRModule, layout: str, choice: Choice | None, lanes: int) -> Any:
    from dataclasses import replace

    import tvm
    from tvm import relax
    from tvm.relax.analysis import free_vars
    from tvm.relax.expr_functor import PyExprMutator, mutator

    @mutator
    class Rewriter(PyExprMutator):  # type: ignore[misc]
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            self.layouts = Layouts(self, layout, choice, lanes)

        def visit_var_binding_(self, binding: Any) -> None:
            value = binding.value
            self.layouts.variable = binding.var
            result = self._handled(value)
            if result is None:
                self._settle(value)
                known = self.layouts.branch() if isinstance(value, relax.If) else None
                super().visit_var_binding_(binding)
                if known is not None:
                    self.layouts.back(known)
                return
            variable = binding.var
            if result.moved and not isinstance(variable, relax.DataflowVar):
                inner = replace(result, expr=self.layouts.emit(result.expr))
                plain = identity(result.rank)
                result = Stored(self.layouts.ordered(inner, plain), plain)
            new = self._bound(variable, result.expr)
            if result.moved or is_constant(new):
                self.layouts.orders[variable] = replace(result, expr=new)
            else:
                self.set_var_remap(variable, new)

        def _bound(self, variable: Any, expr: Any) -> Any:
            """A variable of the same name and kind for the expression."""
            known = isinstance(expr, relax.Var) or is_constant(expr)
            if known and isinstance(variable, relax.DataflowVar):
                return expr
            expr = self.builder_.normalize(expr)
            new = type(variable)(variable.name, expr.ty, variable.span)
            self.builder_.emit_normalized(relax.VarBinding(new, expr))
            return new

        def _handled(self, value: Any) -> Stored | None:
            if isinstance(value, relax.Var) and value in self.layouts.orders:
                return self.layouts.orders[value]
            if isinstance(value, relax.TupleGetItem) and value.tuple_value in self.layouts.orders:
                whole = self.layouts.orders[value.tuple_value]
                return replace(whole, expr=relax.TupleGetItem(whole.expr, value.index))
            if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.Op):
                return None
            handler = HANDLERS.get(value.op.name)
            return None if handler is None else handler(self.layouts, value)

        def _settle(self, value: Any) -> None:
            """Every permuted variable that the value uses is put into the model's order."""
            for variable in free_vars(value):
                if variable in self.layouts.orders:
                    plain = self.layouts.plain(variable)
                    if is_constant(plain):
                        plain = self.layouts.emit(plain)
                    self.set_var_remap(variable, plain)

    return Rewriter(module)
