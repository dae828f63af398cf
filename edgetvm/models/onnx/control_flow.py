"""If, Loop and Scan. What is decided by constants is unrolled; the rest is selected at run time."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.emitter import array_of, dtype_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

# Beyond it, compiling takes minutes.
MOST_ITERATIONS = 1024


def if_(node: Node) -> list[Any]:
    """A constant condition takes one branch; else both are computed and one is selected.

    Both branches are then paid for, which costs little for the small branches that exporters leave
    and keeps the graph in the form that every pass understands.
    """
    then, otherwise = node.attributes["then_branch"], node.attributes["else_branch"]
    decided = node.constant(0)
    if decided is not None:
        return node.reader.subgraph(then if bool(decided.ravel()[0]) else otherwise, [])
    emit = node.emit
    condition = emit.reshape(node.inputs[0], ())
    try:
        first, second = node.reader.subgraph(then, []), node.reader.subgraph(otherwise, [])
        return [_selected(node, condition, a, b) for a, b in zip(first, second, strict=True)]
    except ModelUnreadableError as error:
        raise _undecided(node, condition, error) from error


def _undecided(node: Node, condition: Any, error: ModelUnreadableError) -> ModelUnreadableError:
    """As a rule, branches that cannot both be computed are made for different inputs."""
    names = _sources(node, condition)
    flags = " ".join(f"--bind {name}=VALUE" for name in names)
    return ModelUnreadableError(
        f"{error.what} (the branches of If {node.name!r} depend on {', '.join(names)})",
        mend=f"bind the input that decides it: {flags}",
    )


def _sources(node: Node, value: Any) -> list[str]:
    """The model's inputs that an expression is computed from, in their order."""
    from tvm import relax

    reader = node.reader
    seen: set[Any] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        made = reader.builder.lookup_binding(one) if isinstance(one, relax.Var) else one
        if made is not None:
            waiting.extend(relax.analysis.free_vars(made))
    return [name for name in reader.inputs if reader.value(name) in seen]


def _selected(node: Node, condition: Any, a: Any, b: Any) -> Any:
    if a is b or (hasattr(a, "same_as") and a.same_as(b)):
        return a
    if shape_of(a) != shape_of(b) or dtype_of(a) != dtype_of(b):
        raise node.refusal(
            f"a value is {list(shape_of(a))} or {list(shape_of(b))}, as a condition decides "
            "when the model runs",
            "bind the input that decides it",
        )
    return node.emit.where(condition, a, b)


def loop(node: Node) -> list[Any]:
    """Unrolled. Once a condition that is known at run time fails, the carried values stay."""
    emit = node.emit
    body = node.attributes["body"]
    trips = int(node.require(0, "trip count").ravel()[0]) if node.has(0) else None
    going: Any = node.input(1) if node.has(1) else emit.const(np.bool_(True))
    carried = list(node.inputs[2:])
    count = len(carried)
    rows: list[list[Any]] = [[] for _ in range(len(body.output) - 1 - count)]
    running: Any = emit.reshape(going, ())
    iteration = 0
    while trips is None or iteration < trips:
        known = array_of(running)
        if known is not None and not bool(known):
            break
        if known is None and trips is None:
            raise node.refusal(
                "nothing bounds its iterations before the model runs", "export it with a trip count"
            )
        if iteration >= MOST_ITERATIONS:
            raise node.refusal(
                f"more than {MOST_ITERATIONS} iterations", "bind or fix what decides their number"
            )
        if known is None and rows:
            raise node.refusal(
                "how many rows it gives is only known when the model runs",
                "bind the input that decides it",
            )
        index = emit.const(np.int64(iteration))
        results = node.reader.subgraph(body, [index, running, *carried])
        new = results[1 : 1 + count]
        following = emit.reshape(results[0], ())
        if known is None:
            new = [_selected(node, running, a, b) for a, b in zip(new, carried, strict=True)]
            following = emit.both(running, following)
        for row, value in zip(rows, results[1 + count :], strict=True):
            row.append(emit.unsqueeze(value, 0))
        carried, running = new, following
        iteration += 1
    scans = [
        emit.concat(row, 0) if row else _no_rows(node, k + count) for k, row in enumerate(rows)
    ]
    return [*carried, *scans]


def _no_rows(node: Node, index: int) -> Any:
    """A scan output of no iterations, where the body declares its shape."""
    from onnx import helper

    declared = node.attributes["body"].output[1 + index].type.tensor_type
    sizes = [axis.dim_value for axis in declared.shape.dim]
    return node.emit.const(
        np.zeros((0, *sizes), helper.tensor_dtype_to_np_dtype(declared.elem_type))
    )


def scan(node: Node) -> list[Any]:
    """Unrolled over the scanned axis; below opset 9 for each batch, over the second axis."""
    if node.opset < 9:
        return _scan_of_batches(node)
    scanned = int(node.attributes["num_scan_inputs"])
    states, inputs = list(node.inputs[:-scanned]), list(node.inputs[len(node.inputs) - scanned :])
    given = node.attributes
    body = given["body"]
    outputs = len(body.output) - len(states)
    return _scanned(
        node,
        states,
        inputs,
        axes=(
            given.get("scan_input_axes") or [0] * scanned,
            given.get("scan_output_axes") or [0] * outputs,
        ),
        backwards=(
            given.get("scan_input_directions") or [0] * scanned,
            given.get("scan_output_directions") or [0] * outputs,
        ),
    )


def _scanned(
    node: Node,
    states: list[Any],
    inputs: list[Any],
    axes: tuple[list[int], list[int]],
    backwards: tuple[list[int], list[int]],
) -> list[Any]:
    emit = node.emit
    body = node.attributes["body"]
    input_axes = [axis % len(shape_of(v)) for axis, v in zip(axes[0], inputs, strict=True)]
    steps = shape_of(inputs[0])[input_axes[0]]
    if steps > MOST_ITERATIONS:
        raise node.refusal(f"more than {MOST_ITERATIONS} steps", "fix a shorter input")
    rows: list[list[Any]] = [[] for _ in range(len(body.output) - len(states))]
    count = len(states)
    for step in range(steps):
        parts = []
        for value, axis, reverse in zip(inputs, input_axes, backwards[0], strict=True):
            at = steps - 1 - step if reverse else step
            parts.append(emit.squeeze(emit.slice(value, axis, at, at + 1), axis))
        results = node.reader.subgraph(body, [*states, *parts])
        states = results[:count]
        for row, value in zip(rows, results[count:], strict=True):
            row.append(value)
    stacked = []
    for row, axis, reverse in zip(rows, axes[1], backwards[1], strict=True):
        place = axis % (len(shape_of(row[0])) + 1)
        parts = [emit.unsqueeze(value, place) for value in (reversed(row) if reverse else row)]
        stacked.append(emit.concat(parts, place))
    return [*states, *stacked]


def _scan_of_batches(node: Node) -> list[Any]:
    """Opset 8: a first input of lengths, and a batch axis before all others."""
    emit = node.emit
    scanned = int(node.attributes["num_scan_inputs"])
    operands = list(node.inputs[1:])
    states, inputs = operands[:-scanned], operands[len(operands) - scanned :]
    steps = shape_of(inputs[0])[1]
    if node.has(0) and not bool((node.require(0, "lengths") >= steps).all()):
        raise node.refusal("its sequences differ in length")
    body = node.attributes["body"]
    directions = node.attributes.get("directions") or [0] * scanned
    outputs = len(body.output) - len(states)
    batches = []
    for index in range(shape_of(inputs[0])[0]):
        one = [emit.squeeze(emit.slice(v, 0, index, index + 1), 0) for v in (*states, *inputs)]
        batches.append(
            _scanned(
                node,
                one[: len(states)],
                one[len(states) :],
                axes=([0] * scanned, [0] * outputs),
                backwards=(directions, [0] * outputs),
            )
        )
    return [
        emit.concat([emit.unsqueeze(value, 0) for value in values], 0)
        for values in zip(*batches, strict=True)
    ]


CONTROL_FLOW: dict[str, Converter] = {"If": if_, "Loop": loop, "Scan": scan}
