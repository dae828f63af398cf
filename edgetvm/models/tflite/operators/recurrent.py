"""UNIDIRECTIONAL_SEQUENCE_LSTM: its steps one after the other, float and in integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import quantised as q
from edgetvm.models.tflite.emitter import Value, dtype_of, shape_of
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

_GATES = ("input", "forget", "cell", "output")
# Where each gate's tensors stand among the inputs.
_WEIGHTS, _RECURRENT, _PEEPHOLES, _BIASES = 1, 5, 9, 12
_PROJECTION, _OUTPUT_STATE, _CELL_STATE, _NORMS = 16, 18, 19, 20
_MOST_STEPS = 512


@dataclass(frozen=True)
class State:
    """What goes from step to step."""

    output: Value
    cell: Value


Step = Callable[[Value, State], State]


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM", quantised=itself)
def unidirectional_sequence_lstm(node: Node) -> Value:
    """Begins with an empty state; without layer normalisation and projection."""
    options = node.options("UnidirectionalSequenceLSTMOptions")
    if any(node.has(index) for index in range(_NORMS, _NORMS + 4)):
        raise Refusal("with layer normalisation")
    if node.has(_PROJECTION):
        raise Refusal("with a projection")
    if options.FusedActivationFunction() != 4:
        raise Refusal("without tanh")
    emit = node.emit
    tensor = node.tensors[0]
    integers = tensor is not None and tensor.scales is not None
    step, state = _integer_step(node, options) if integers else _float_step(node, options)
    axis = 0 if options.TimeMajor() else 1
    shape = node.shape(0)
    if not 0 < shape[axis] <= _MOST_STEPS:
        raise Refusal(f"of {shape[axis]} steps")
    outputs = []
    for at in range(shape[axis]):
        now = emit.reshape(emit.slice(node.value(0), axis, at, at + 1), (-1, shape[2]))
        state = step(now, state)
        size = list(shape_of(state.output))
        size.insert(axis, 1)
        outputs.append(emit.reshape(state.output, size))
    return emit.concat(outputs, axis)


def _gates(node: Node) -> list[int]:
    """The gates that there are; without an input gate it is 1 - forget gate."""
    return [gate for gate in range(4) if node.has(_WEIGHTS + gate)]


def _sizes(node: Node, options: Any) -> tuple[int, int]:
    batch = node.shape(0)[1 if options.TimeMajor() else 0]
    return batch, node.shape(_WEIGHTS + 1)[0]


def _product(
    node: Node, first: int, gates: list[int], units: int, asymmetric: bool
) -> Callable[[Value], Value]:
    """Data by all gates' weights side by side, as floats; see `quantised.dynamic` for 8 bits."""
    emit = node.emit
    parts = [emit.transpose(node.value(first + gate), (1, 0)) for gate in gates]
    kernel = emit.concat(parts, 1)
    if dtype_of(kernel) == "float32":
        return lambda data: emit.matmul(data, kernel, "float32")
    scale = np.concatenate([np.repeat(node.scales(first + gate).scale, units) for gate in gates])

    def product(data: Value) -> Value:
        integers, step = q.dynamic(emit, data, (1,), symmetric=not asymmetric)
        total = emit.cast(emit.matmul(integers, kernel, "int32"), "float32")
        return emit("multiply", emit("multiply", total, step), scale)

    return product


def _float_step(node: Node, options: Any) -> tuple[Step, State]:
    emit = node.emit
    gates = _gates(node)
    batch, units = _sizes(node, options)
    asymmetric = bool(options.AsymmetricQuantizeInputs())
    from_input = _product(node, _WEIGHTS, gates, units, asymmetric)
    from_output = _product(node, _RECURRENT, gates, units, asymmetric)
    biases = [
        node.value(_BIASES + gate) if node.has(_BIASES + gate) else np.zeros(units, np.float32)
        for gate in gates
    ]
    bias = emit.concat(biases, 0)
    clip = options.CellClip() or math.inf

    def step(now: Value, state: State) -> State:
        total = emit(
            "add",
            emit("add", from_input(now), bias),
            from_output(state.output),
        )
        parts = {
            gate: emit.slice(total, 1, at * units, (at + 1) * units)
            for at, gate in enumerate(gates)
        }

        def opened(gate: int, cell: Value) -> Value:
            value = parts[gate]
            if node.has(_PEEPHOLES + gate - (gate > 1)) and gate != 2:
                weights = node.value(_PEEPHOLES + gate - (gate > 1))
                value = emit("add", value, emit("multiply", cell, weights))
            return emit("sigmoid", value)

        forget = opened(1, state.cell)
        let_in = opened(0, state.cell) if 0 in parts else emit("subtract", _one(forget), forget)
        fresh = emit("multiply", let_in, emit("tanh", parts[2]))
        cell = emit("add", emit("multiply", forget, state.cell), fresh)
        cell = emit.clip(cell, -clip, clip)
        output = emit("multiply", opened(3, cell), emit("tanh", cell))
        return State(output, cell)

    zeros = np.zeros((batch, units), np.float32)
    return step, State(zeros, zeros)


def _one(like: Value) -> NDArray[Any]:
    return np.ones((), dtype_of(like))


# Gates are numbers of 3 integer and 12 fraction bits, what opens them has 15 fraction bits.
_GATE_SCALE = 2.0**-12
_UNIT = 2.0**15
_INT16 = (-(2**15), 2**15 - 1)


def _integer_step(node: Node, options: Any) -> tuple[Step, State]:
    """LiteRT's integer kernel: 8-bit activations, 16-bit cell."""
    emit = node.emit
    if any(node.has(_PEEPHOLES + at) for at in range(3)):
        raise Refusal("in integers, with peepholes")
    gates = _gates(node)
    batch, units = _sizes(node, options)
    inputs, outputs = node.scales(0), node.scales(_OUTPUT_STATE)
    cells = node.scales(_CELL_STATE)
    if dtype_of(node.value(0)) != "int8":
        raise Refusal("in integers of more than 8 bits")
    fraction = -round(math.log2(float(cells.scale[0])))
    from_input = _gate_sums(node, _WEIGHTS, inputs, gates, with_bias=True)
    from_output = _gate_sums(node, _RECURRENT, outputs, gates, with_bias=False)
    hidden = float(node.result_scales.scale[0])
    clip = float(options.CellClip()) or math.inf
    bound = min(max(round(clip / float(cells.scale[0])), 0), 2**15 - 1) if clip < math.inf else None

    def unit(function: str, value: Value, scale: float) -> Value:
        real = emit("multiply", emit.cast(value, "float32"), scale)
        scaled = emit("multiply", emit(function, real), _UNIT)
        return emit.cast(emit.clip(emit("round", scaled), *_INT16), "int32")

    def step(now: Value, state: State) -> State:
        parts = {
            gate: emit.clip(
                emit("add", from_input(now, gate), from_output(state.output, gate)), *_INT16
            )
            for gate in gates
        }
        forget = unit("sigmoid", parts[1], _GATE_SCALE)
        if 0 in parts:
            let_in = unit("sigmoid", parts[0], _GATE_SCALE)
        else:
            let_in = emit("subtract", np.asarray(2**15 - 1, np.int32), forget)
        fresh = unit("tanh", parts[2], _GATE_SCALE)
        kept = _shifted(node, emit("multiply", forget, state.cell), 15)
        added = _shifted(node, emit("multiply", let_in, fresh), 30 - fraction)
        cell = emit.clip(emit("add", kept, added), *_INT16)
        if bound is not None:
            cell = emit.clip(cell, -bound, bound)
        opened = unit("sigmoid", parts[3], _GATE_SCALE)
        product = emit("multiply", opened, unit("tanh", cell, 2.0**-fraction))
        factor = np.asarray(2.0**-30 / hidden, np.float32)
        return State(q.rescale(emit, product, factor, outputs, "int8"), cell)

    empty = np.full((batch, units), outputs.zero_point[0], np.int8)
    return step, State(empty, np.zeros((batch, units), np.int32))


def _gate_sums(
    node: Node, first: int, scales: Scales, gates: list[int], with_bias: bool
) -> Callable[[Value, int], Value]:
    """`(data, gate) -> sums`, as int32 of a gate's scale."""
    emit = node.emit
    kernels = {gate: emit.transpose(node.value(first + gate), (1, 0)) for gate in gates}

    def sums(data: Value, gate: int) -> Value:
        kernel = kernels[gate]
        total = emit.matmul(data, kernel, "int32")
        column = emit.reduce("sum", emit.cast(kernel, "int32"), (0,), keep=False)
        bias = emit("multiply", column, -int(scales.zero_point[0]))
        if with_bias and node.has(_BIASES + gate):
            bias = emit("add", bias, node.value(_BIASES + gate))
        factor = scales.scale[0] * node.scales(first + gate).scale[0] / np.float32(_GATE_SCALE)
        scaled = emit("multiply", emit.cast(emit("add", total, bias), "float32"), float(factor))
        return emit.cast(emit.clip(emit("round", scaled), *_INT16), "int32")

    return sums


def _shifted(node: Node, value: Value, bits: int) -> Value:
    """Divided by a power of two, to the nearest, halves away from zero."""
    emit = node.emit
    if bits <= 0:
        return emit("left_shift", value, -bits) if bits else value
    below = emit.cast(emit("less", value, 0), "int32")
    half = emit("subtract", emit("add", value, 1 << (bits - 1)), below)
    return emit("right_shift", half, bits)
