"""Recurrent layers: their steps one after the other, and what they keep from run to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from edgetvm.models.tflite import fixed_point
from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, shape_of
from edgetvm.models.tflite.file import Graph, Operator, Tensor
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

_MOST_STEPS = 512
# Inputs of an operator that it writes to as well, and the class of its options where it has steps.
_STATES: dict[str, tuple[tuple[int, ...], str]] = {
    "SVDF": ((4,), ""),
    "RNN": ((4,), ""),
    "LSTM": ((18, 19), ""),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ((4,), "SequenceRNNOptions"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ((18, 19), "UnidirectionalSequenceLSTMOptions"),
}


def kept_tensors(operator: Operator, graph: Graph) -> list[Tensor]:
    """The state tensors that live on from run to run.

    Those of a layer that sees one step a run. One that sees a whole sequence begins each run
    afresh, as in the framework that it was exported from.
    """
    if operator.name not in _STATES:
        return []
    places, class_name = _STATES[operator.name]
    inputs = dict(enumerate(operator.inputs))
    numbers = [inputs.get(place, -1) for place in (0, *places)]
    source, *states = (graph.tensors[number] if number >= 0 else None for number in numbers)
    if class_name and source is not None:
        axis = 0 if operator.options(class_name).TimeMajor() else 1
        if source.shape[axis : axis + 1] != (1,):
            return []
    return [tensor for tensor in states if tensor is not None and tensor.variable]


def kept(node: Node, index: int, empty: Value) -> Value:
    """What the last run left in a state tensor; `empty` where it keeps nothing."""
    return node.value(index) if node.has(index) else empty


def keep(node: Node, index: int, value: Value) -> None:
    """Leave a state for the next run, if it is one that lives on."""
    tensor = node.tensors[index]
    if tensor is not None and node.has(index):
        if shape_of(value) != node.shape(index):
            raise ValueError(f"a state of {list(node.shape(index))} for {list(shape_of(value))}")
        node.variables[tensor.name] = node.emit.cast(value, tensor.dtype)


S = TypeVar("S")


def over_steps(
    node: Node, axis: int, step: Callable[[Value, S], S], state: S, shown: Callable[[S], Value]
) -> tuple[Value, S]:
    """The outputs of all steps along an axis of the first input, and the last state."""
    emit = node.emit
    shape = node.shape(0)
    if not 0 < shape[axis] <= _MOST_STEPS:
        raise Refusal(f"of {shape[axis]} steps")
    outputs = []
    for at in range(shape[axis]):
        now = emit.reshape(emit.slice(node.value(0), axis, at, at + 1), (-1, shape[2]))
        state = step(now, state)
        size = list(shape_of(shown(state)))
        size.insert(axis, 1)
        outputs.append(emit.reshape(shown(state), size))
    return emit.concat(outputs, axis), state


def product_by(node: Node, places: list[int], asymmetric: bool) -> Callable[[Value], Value]:
    """Data by the weights at some inputs side by side, as floats.

    With 8-bit weights the data are quantised as they come, see `quantised.dynamic`.
    """
    emit = node.emit
    kernel = emit.concat([emit.transpose(node.value(place), (1, 0)) for place in places], 1)
    if dtype_of(kernel) == "float32":
        return lambda data: emit.matmul(data, kernel, "float32")
    scale = np.concatenate(
        [np.repeat(node.scales(place).scale, node.shape(place)[0]) for place in places]
    )

    def product(value: Value) -> Value:
        data = q.dynamic(emit, value, (1,), symmetric=not asymmetric)
        total = data.summed(emit, lambda integers: emit.matmul(integers, kernel, "int32"))
        return emit("multiply", emit("multiply", emit.cast(total, "float32"), data.step), scale)

    return product


def _rnn(node: Node, options: Any) -> Callable[[Value, Value], Value]:
    emit = node.emit
    asymmetric = bool(options.AsymmetricQuantizeInputs())
    from_input, from_output = product_by(node, [1], asymmetric), product_by(node, [2], asymmetric)

    def step(now: Value, state: Value) -> Value:
        total = emit("add", emit("add", from_input(now), node.value(3)), from_output(state))
        return node.activated(total, options.FusedActivationFunction())

    return step


@rule("RNN", quantised=itself)
def rnn(node: Node) -> Value:
    """One step a run."""
    batch, units = node.shape(0)[0], node.shape(2)[0]
    state = kept(node, 4, node.emit.full((batch, units), 0, "float32"))
    result = _rnn(node, node.options("RNNOptions"))(node.value(0), state)
    keep(node, 4, result)
    return result


@rule("UNIDIRECTIONAL_SEQUENCE_RNN", quantised=itself)
def unidirectional_sequence_rnn(node: Node) -> Value:
    """Over a sequence, along its second axis or its first."""
    options = node.options("SequenceRNNOptions")
    axis = 0 if options.TimeMajor() else 1
    batch, units = node.shape(0)[1 - axis], node.shape(2)[0]
    state = kept(node, 4, node.emit.full((batch, units), 0, "float32"))
    result, last = over_steps(node, axis, _rnn(node, options), state, lambda now: now)
    keep(node, 4, last)
    return result


@rule("SVDF", quantised=itself)
def svdf(node: Node) -> Value:
    """A dense layer of low rank over the last inputs: by features, then by time."""
    options = node.options("SVDFOptions")
    emit, x = node.emit, node.value(0)
    (filters, memory), batch = node.axes(2, 2), node.axes(0, 2)[0]
    rank = options.Rank()
    if rank < 1 or filters % rank:
        raise ValueError(f"{filters} filters of rank {rank}")
    integers = dtype_of(x) == "int8"
    before = emit.reshape(node.value(4), (batch, filters, memory))
    if integers:
        now = _features(node)
    else:
        now = product_by(node, [1], bool(options.AsymmetricQuantizeInputs()))(x)
    now = emit.reshape(now, (batch, filters, 1))
    line = emit.concat([emit.slice(before, 2, 1, memory), now], 2) if memory > 1 else now
    keep(node, 4, emit.reshape(line, node.shape(4)))
    by_time = node.value(2)
    if integers:
        line, by_time = emit.cast(line, "int32"), emit.cast(by_time, "int32")
    elif dtype_of(by_time) == "int8":
        by_time = q.dequantise(emit, by_time, node.scales(2))
    parts = emit.reduce("sum", emit("multiply", line, by_time), (2,), keep=False)
    total = emit.reduce("sum", emit.reshape(parts, (batch, -1, rank)), (2,), keep=False)
    if node.has(3):
        total = emit("add", total, node.value(3))
    if not integers:
        return node.activated(total, options.FusedActivationFunction())
    result = node.result_scales
    factor = node.scales(4).scale[0] * node.scales(2).scale[0] / result.scale[0]
    # LiteRT's integer kernel knows no activation, whatever the file says.
    return fixed_point.rescaled(emit, total, float(factor), result, node.result.dtype)


def _features(node: Node) -> Value:
    """8-bit data by 8-bit weights, as 16-bit integers of the state's scale."""
    emit = node.emit
    source, state = node.scales(0), node.scales(4)
    centred = emit("subtract", emit.cast(node.value(0), "int16"), int(source.zero_point[0]))
    total = emit.matmul(centred, emit.transpose(node.value(1), (1, 0)), "int32")
    factor = source.scale[0] * node.scales(1).scale[0] / state.scale[0]
    return fixed_point.rescaled(emit, total, float(factor), state, "int16")
