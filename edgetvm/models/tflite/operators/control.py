"""Calls of other graphs, and variables that live from run to run.

What decides a branch or a loop must mostly be known now: then one branch is taken, and the loop is
unrolled. Of a branch that is decided at run time both sides are computed and one is selected.
"""

from __future__ import annotations

from edgetvm.models.tflite.emitter import Value, dtype_of, is_constant, shape_of
from edgetvm.models.tflite.file import Operator
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

# Of each operator that calls others: the class of its options, and their fields with the numbers.
_CALLS = {
    "IF": ("IfOptions", ("ThenSubgraphIndex", "ElseSubgraphIndex")),
    "WHILE": ("WhileOptions", ("CondSubgraphIndex", "BodySubgraphIndex")),
    "CALL_ONCE": ("CallOnceOptions", ("InitSubgraphIndex",)),
    "STABLEHLO_COMPOSITE": ("StableHLOCompositeOptions", ("DecompositionSubgraphIndex",)),
}
# Beyond it, compiling takes minutes.
_MOST_ROUNDS = 1024


def called_by(operator: Operator) -> tuple[int, ...]:
    """Numbers of the graphs that an operator calls."""
    if operator.name not in _CALLS:
        return ()
    class_name, fields = _CALLS[operator.name]
    options = operator.options(class_name)
    return tuple(getattr(options, field)() for field in fields)


def variable_name(node: Node) -> str:
    """The name under which READ_VARIABLE and ASSIGN_VARIABLE know their variable."""
    handle = node.inputs[0]
    if not isinstance(handle, str):
        raise Refusal("of a handle that is computed")
    return handle


def handle_name(operator: Operator) -> str:
    """The name of the variable that a VAR_HANDLE is for."""
    options = operator.options("VarHandleOptions")
    container, shared = options.Container() or b"", options.SharedName() or b""
    return "/".join(part.decode() for part in (container, shared) if part)


@rule("VAR_HANDLE", quantised=itself)
def var_handle(node: Node) -> Value:
    """A variable's name stands for it."""
    return handle_name(node.operator)


@rule("READ_VARIABLE", quantised=itself)
def read_variable(node: Node) -> Value:
    """The variable's value at this point."""
    name = variable_name(node)
    if name not in node.variables:
        raise Refusal(f"of {name!r}, which nothing initialises")
    return node.variables[name]


@rule("ASSIGN_VARIABLE", quantised=itself)
def assign_variable(node: Node) -> list[Value]:
    """From here on, and in the next run."""
    node.variables[variable_name(node)] = node.value(1)
    return []


@rule("CALL_ONCE", quantised=itself)
def call_once(_node: Node) -> list[Value]:
    """Ran before the first run: see `edgetvm.models.tflite.variables`."""
    return []


@rule("IF", quantised=itself)
def if_(node: Node) -> list[Value]:
    """One branch where the condition is known; else both, and the results are chosen from."""
    branches = called_by(node.operator)
    condition = node.value(0)
    inputs = [node.value(index) for index in range(1, len(node.inputs))]
    if is_constant(condition):
        return node.run(branches[0 if condition.ravel()[0] else 1], inputs)
    before = dict(node.variables)
    results, variables = [], []
    for branch in branches:
        node.variables.clear()
        node.variables.update(before)
        results.append(node.run(branch, inputs))
        variables.append(dict(node.variables))
    for name in before:
        node.variables[name] = _chosen(node, condition, variables[0][name], variables[1][name])
    return [_chosen(node, condition, a, b) for a, b in zip(*results, strict=True)]


def _chosen(node: Node, condition: Value, a: Value, b: Value) -> Value:
    if a is b or a is None or b is None:  # None: a refusal that is named already
        return None if b is None else a
    if shape_of(a) != shape_of(b) or dtype_of(a) != dtype_of(b):
        raise Refusal("whose branches give tensors of different shapes")
    return node.emit.where(node.emit.reshape(condition, ()), a, b)


@rule("WHILE", quantised=itself)
def while_(node: Node) -> list[Value]:
    """Unrolled."""
    going, body = called_by(node.operator)
    values = [node.value(index) for index in range(len(node.inputs))]
    for _ in range(_MOST_ROUNDS):
        (condition,) = node.run(going, values)
        if condition is None or any(value is None for value in values):
            return [None] * len(values)
        if not is_constant(condition):
            raise Refusal("whose rounds are counted when the model runs")
        if not condition.ravel()[0]:
            return values
        values = node.run(body, values)
    raise Refusal(f"of more than {_MOST_ROUNDS} rounds")


@rule("STABLEHLO_COMPOSITE", quantised=itself)
def composite(node: Node) -> list[Value]:
    """An operator that the exporter named, by the graph that it is made of."""
    (graph,) = called_by(node.operator)
    return node.run(graph, [node.value(index) for index in range(len(node.inputs))])
