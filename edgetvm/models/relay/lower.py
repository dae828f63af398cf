"""A Relay program into one Relax function.

Functions are unfolded where they are called: tensor programs have no recursion, and Relax then
sees one graph. Tuples are kept apart as Python's own, and appear in Relax only where a branch or
the program gives several tensors. What is constant in the file stays a constant, so that shapes
that a program computes from its inputs' shapes are known again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError
from edgetvm.models.naming import naming_builder
from edgetvm.models.relay.ast import (
    Block,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    If,
    Program,
    Projection,
    Tuple,
    Var,
    malformed,
    reachable,
    unwind,
)
from edgetvm.models.relay.builder import Attributes, Builder, Value
from edgetvm.models.relay.operators import OPERATORS

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Branches within branches: Relax's own passes recurse over them. Calls cost memory only.
_DEEPEST_BRANCH = 40
_DEEPEST_CALL = 5000
_MOST_OUTPUTS = 4096
# What functions that call functions may unfold into: so many expressions for each that is written.
_UNFOLDED = 20
_LEAST_LIMIT = 20_000
_SPARE_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class _Frame:
    """What names mean, and what is computed already, in one activation of a function or branch."""

    around: _Frame | None = None
    variables: dict[int, Value] = field(default_factory=dict)
    computed: dict[int, Value] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Closure:
    function: Function
    frame: _Frame


class _Lowering:
    def __init__(self, program: Program, builder: Builder, most_steps: int) -> None:
        self._program = program
        self._most_steps = most_steps
        self._builder = builder
        self._globals = _Frame()
        # Functions that are being unfolded, with the number of branches around each.
        self._active: list[tuple[int, int]] = []
        self._branches = 0
        self._constants: dict[int, Value] = {}
        self._steps = 0

    def run(self, values: Mapping[str, Value], parameters: Mapping[str, Var]) -> Value:
        frame = _Frame(self._globals)
        for name, variable in parameters.items():
            frame.variables[id(variable)] = values[name]
        return unwind(self._value(self._program.main.body, frame))

    def _value(self, node: Expr, frame: _Frame) -> Generator[Any, Any, Value]:
        self._steps += 1
        if self._steps > self._most_steps:
            raise malformed(f"it unfolds into more than {self._most_steps} expressions")
        if isinstance(node, Var):
            return _found(frame, "variables", node, f"%{node.name:.60} is used before it is set")
        known = _found(frame, "computed", node)
        if known is not None:
            return known
        value = yield self._computed(node, frame)
        frame.computed[id(node)] = value
        return value

    def _values(self, nodes: Sequence[Expr], frame: _Frame) -> Generator[Any, Any, list[Value]]:
        values = []
        for node in nodes:
            values.append((yield self._value(node, frame)))
        return values

    def _computed(self, node: Expr, frame: _Frame) -> Generator[Any, Any, Value]:
        value: Value
        match node:
            case Constant(array):
                # One of the metadata may be named in many places.
                if id(array) not in self._constants:
                    self._constants[id(array)] = self._builder.const(array, array.dtype.name)
                value = self._constants[id(array)]
            case Tuple(fields):
                value = tuple((yield self._values(fields, frame)))
            case Projection():
                value = yield self._projection(node, frame)
            case Block():
                value = yield self._block(node, frame)
            case Function():
                value = _Closure(node, frame)
            case GlobalVar(name):
                if name not in self._program.functions:
                    raise malformed(f"@{name:.60} is called and defined nowhere")
                value = _Closure(self._program.functions[name], self._globals)
            case If():
                value = yield self._if(node, frame)
            case Call():
                value = yield self._call(node, frame)
            case _:
                raise AssertionError("what is not supported is refused before")
        return value

    def _projection(self, node: Projection, frame: _Frame) -> Generator[Any, Any, Value]:
        whole = yield self._value(node.value, frame)
        if not isinstance(whole, tuple) or not 0 <= node.index < len(whole):
            raise malformed(f"there is no field {node.index} of a value")
        return whole[node.index]

    def _block(self, node: Block, frame: _Frame) -> Generator[Any, Any, Value]:
        for variable, part in node.lets:
            if isinstance(part, Function):  # it may name itself
                frame.variables[id(variable)] = _Closure(part, frame)
            else:
                frame.variables[id(variable)] = yield self._value(part, frame)
        return (yield self._value(node.body, frame))

    def _call(self, node: Call, frame: _Frame) -> Generator[Any, Any, Value]:
        values = yield self._values(node.arguments, frame)
        if isinstance(node.callee, str):
            return self._operator(node.callee, tuple(values), node)
        closure = yield self._value(node.callee, frame)
        if not isinstance(closure, _Closure):
            raise malformed(f"{node.place}: a tensor is called as if it were a function")
        function = closure.function
        if len(function.parameters) != len(values):
            raise malformed(
                f"{node.place}: a function of {len(function.parameters)} parameters is called "
                f"with {len(values)}"
            )
        self._enter(function, node)
        inner = _Frame(closure.frame)
        inner.variables.update(
            (id(parameter), value)
            for parameter, value in zip(function.parameters, values, strict=True)
        )
        result = yield self._value(function.body, inner)
        self._active.pop()
        return result

    def _enter(self, function: Function, node: Call) -> None:
        """Note that a function is being unfolded.

        One that calls itself is a loop. It ends here if what it branches on is known; behind a
        branch that only a run decides it has no end.
        """
        for active, branches in reversed(self._active):
            if active == id(function) and branches < self._branches:
                raise ModelUnreadableError(
                    f"{node.place}: a function calls itself: a loop whose length is known at run "
                    "time only",
                    mend="unroll it before the model is saved",
                )
            if active == id(function):
                break
        if len(self._active) >= _DEEPEST_CALL:
            raise malformed(f"{node.place}: functions call functions {_DEEPEST_CALL} deep")
        self._active.append((id(function), self._branches))

    def _operator(self, name: str, values: tuple[Value, ...], node: Call) -> Value:
        lowered = OPERATORS[name]
        given = dict(node.attributes)
        self._builder.blocks.node = node.place.name or name.rpartition(".")[2]
        try:
            if any(isinstance(value, _Closure) for value in values):
                raise malformed("it is given a function")
            for key, position in lowered.tensors_as_attributes:
                if position < len(values):
                    given[key] = self._builder.known(values[position], f"its {key}")
            return lowered.lower(self._builder, values, Attributes(given))
        except EdgetvmError as error:
            error.what = f"{node.place}: {name}: {error.what}"
            error.args = (error.what,)
            raise
        except Exception as error:  # TVM's and numpy's every kind: shapes or dtypes do not fit
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[-1] if lines else type(error).__name__
            raise malformed(f"{node.place}: {name}: {reason:.300}") from error
        finally:
            self._builder.blocks.node = ""

    def _if(self, node: If, frame: _Frame) -> Generator[Any, Any, Value]:
        builder = self._builder
        condition = yield self._value(node.condition, frame)
        if builder.rank(condition) != 0 or builder.dtype(condition) != "bool":
            raise malformed("an if whose condition is no scalar of bool")
        known = builder.array(condition)
        if known is not None:
            return (yield self._value(node.then if known.item() else node.otherwise, frame))
        sides: list[tuple[Any, list[Any]]] = []
        shapes: list[Value] = []
        self._branches += 1
        if self._branches > _DEEPEST_BRANCH:
            raise malformed(f"branches within branches, more than {_DEEPEST_BRANCH} deep")
        for branch in (node.then, node.otherwise):
            builder.blocks._begin_binding_block()
            value = yield self._value(branch, _Frame(frame))
            flat = flatten(value)
            bound = [builder.emit(tensor) for tensor in flat]
            sides.append((builder.blocks._end_block(), bound))
            shapes.append(value)
        self._branches -= 1
        (_, first), (_, second) = sides
        if [(builder.shape(a), builder.dtype(a)) for a in first] != [
            (builder.shape(b), builder.dtype(b)) for b in second
        ]:
            raise malformed("an if whose branches give different shapes or dtypes")
        relax = builder.relax
        bodies = [self._outlined(block, bound) for block, bound in sides]
        result = builder.emit(relax.If(condition, *bodies))
        if len(first) == 1:
            parts = [result]
        else:
            parts = [builder.emit(relax.TupleGetItem(result, index)) for index in range(len(first))]
        return _folded(shapes[0], parts)

    def _outlined(self, block: Any, results: list[Any]) -> Any:
        """A branch as a call of a function of its own.

        TVM's memory planner takes both branches for one sequence, and gives the second one memory
        that only the first has allocated; it plans functions one by one.
        """
        from tvm import relax
        from tvm.relax.utils import copy_with_new_vars

        body = relax.SeqExpr([block], results[0] if len(results) == 1 else relax.Tuple(results))
        around = list(relax.analysis.free_vars(body))
        types = [result.ty for result in results]
        result_type = types[0] if len(types) == 1 else relax.TupleType(types)
        branch = copy_with_new_vars(relax.Function(around, body, result_type))
        blocks = self._builder.blocks
        name = blocks.add_func(branch, "branch")
        blocks._begin_binding_block()
        called = blocks.emit(relax.Call(name, around))
        return relax.SeqExpr([blocks._end_block()], called)


def _found(frame: _Frame | None, where: str, node: Expr, refusal: str = "") -> Value:
    while frame is not None:
        held = getattr(frame, where)
        if id(node) in held:
            return held[id(node)]
        frame = frame.around
    if refusal:
        raise malformed(refusal)
    return None


def flatten(value: Value) -> list[Any]:
    """The tensors of a value, from the left.

    Raises:
        ModelUnreadableError: it holds a function, no tensor at all, or thousands.
    """
    tensors: list[Any] = []
    waiting = [value]
    steps = 0
    while waiting:
        one = waiting.pop()
        steps += 1
        if isinstance(one, tuple):
            waiting.extend(reversed(one))
        elif isinstance(one, _Closure):
            raise malformed("a result that is a function")
        else:
            tensors.append(one)
        if steps > _MOST_OUTPUTS * 4 or len(tensors) > _MOST_OUTPUTS:
            raise malformed(f"a result of more than {_MOST_OUTPUTS} tensors")
    if not tensors:
        raise malformed("a result that holds no tensor")
    return tensors


def _folded(shape: Value, parts: list[Any]) -> Value:
    """Tensors in the tuples of another value, whose tensors they replace one by one."""
    waiting = iter(parts)

    def fold(value: Value) -> Generator[Any, Any, Value]:
        if not isinstance(value, tuple):
            return next(waiting)
        made = []
        for one in value:
            made.append((yield fold(one)))
        return tuple(made)

    return unwind(fold(shape))


def lower(
    program: Program,
    inputs: Mapping[str, tuple[tuple[int, ...], str]],
    constants: Mapping[str, NDArray[np.generic]],
    parameters: Mapping[str, Var],
) -> tuple[IRModule, int, Mapping[str, str]]:
    """The program's `main` as Relax, the number of its outputs, and the nodes of its variables.

    Args:
        program: whose operators are all known.
        inputs: shape and dtype of each parameter that stays one.
        constants: the other parameters.
        parameters: of `main`, by the names that the first two use.

    Raises:
        ModelUnreadableError: it does not fit together, or is no tensor program.
    """
    from tvm import relax

    blocks = naming_builder()
    most = max(_LEAST_LIMIT, _UNFOLDED * sum(1 for _ in reachable(program)))
    # Weights are turned, split and scaled a few times each.
    arrays = {id(one.array): one.array for one in reachable(program) if isinstance(one, Constant)}
    held = sum(array.nbytes for array in (*constants.values(), *arrays.values()))
    builder = Builder(blocks, most, _SPARE_BYTES + 16 * held)
    variables = {
        name: relax.Var(f"input_{number}", relax.TensorType(shape, dtype))
        for number, (name, (shape, dtype)) in enumerate(inputs.items())
    }
    values: dict[str, Value] = dict(variables)
    values |= {name: builder.const(array, array.dtype.name) for name, array in constants.items()}
    for variable in variables.values():
        builder.check_size(variable)
    try:
        with blocks.function("main", list(variables.values())):
            result = _Lowering(program, builder, 10 * most).run(values, parameters)
            # An output that is an input, a constant or another output needs a binding of its own.
            bound: list[Any] = []
            for tensor in flatten(result):
                plain = any(tensor.same_as(one) for one in (*variables.values(), *bound))
                is_own = isinstance(tensor, relax.Var) and not plain
                bound.append(tensor if is_own else blocks.emit(tensor))
            blocks.emit_func_output(bound[0] if len(bound) == 1 else relax.Tuple(bound))
    finally:
        # A traceback keeps the builder alive, and TVM complains of half-built functions later.
        del builder.blocks
    module = relax.transform.ConvertToDataflow(min_size=1)(blocks.get())
    return module, len(bound), blocks.nodes
