"""LSTM layers: one step of them, float, float by 8-bit weights, and in integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.tflite import fixed_point
from edgetvm.models.tflite.emitter import Value, dtype_of
from edgetvm.models.tflite.file import Scales
from edgetvm.models.tflite.operators.recurrent import keep, kept, over_steps, product_by
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

# Where each gate's tensors stand among the inputs: input, forget, cell, output.
_WEIGHTS, _RECURRENT, _PEEPHOLES, _BIASES = 1, 5, 9, 12
_PROJECTION, _PROJECTION_BIAS, _OUTPUT_STATE, _CELL_STATE, _NORMS = 16, 17, 18, 19, 20


@dataclass(frozen=True)
class State:
    """What goes from step to step."""

    output: Value
    cell: Value


Step = Callable[[Value, State], State]


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM", quantised=itself)
def unidirectional_sequence_lstm(node: Node) -> Value:
    """Over a sequence, along its second axis or its first."""
    options = node.options("UnidirectionalSequenceLSTMOptions")
    axis = 0 if options.TimeMajor() else 1
    step, state = _layer(node, options, node.shape(0)[1 - axis])
    result, last = over_steps(node, axis, step, state, lambda now: now.output)
    _leave(node, last)
    return result


@rule("LSTM", quantised=itself)
def lstm(node: Node) -> Value:
    """One step a run."""
    options = node.options("LSTMOptions")
    if options.KernelType():
        raise Refusal("of the basic kind")
    step, state = _layer(node, options, node.shape(0)[0])
    last = step(node.value(0), state)
    _leave(node, last)
    return last.output


def _layer(node: Node, options: Any, batch: int) -> tuple[Step, State]:
    if any(node.has(index) for index in range(_NORMS, _NORMS + 4)):
        raise Refusal("with layer normalisation")
    if options.FusedActivationFunction() != 4:
        raise Refusal("without tanh")
    tensor = node.tensors[0]
    integers = tensor is not None and tensor.scales is not None
    step, state = (_integer_step if integers else _float_step)(node, options, batch)
    cell = kept(node, _CELL_STATE, state.cell)
    return step, State(
        kept(node, _OUTPUT_STATE, state.output),
        node.emit.cast(cell, dtype_of(state.cell)),
    )


def _leave(node: Node, state: State) -> None:
    keep(node, _OUTPUT_STATE, state.output)
    keep(node, _CELL_STATE, state.cell)


def _gates(node: Node) -> list[int]:
    """The gates that there are; without an input gate it is 1 - forget gate."""
    return [gate for gate in range(4) if node.has(_WEIGHTS + gate)]


def _float_step(node: Node, options: Any, batch: int) -> tuple[Step, State]:
    emit = node.emit
    gates = _gates(node)
    units = node.shape(_RECURRENT + 1)[0]
    asymmetric = bool(options.AsymmetricQuantizeInputs())
    from_input = product_by(node, [_WEIGHTS + gate for gate in gates], asymmetric)
    from_output = product_by(node, [_RECURRENT + gate for gate in gates], asymmetric)
    projected = _projection(node, options, asymmetric)
    biases = [
        node.value(_BIASES + gate)
        if node.has(_BIASES + gate)
        else emit.full((units,), 0, "float32")
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
        return State(projected(output), cell)

    outputs = node.shape(_RECURRENT + 1)[1]
    return step, State(
        emit.full((batch, outputs), 0, "float32"), emit.full((batch, units), 0, "float32")
    )


def _projection(node: Node, options: Any, asymmetric: bool) -> Callable[[Value], Value]:
    """Makes fewer numbers of a step's output, where the file has weights for that."""
    if not node.has(_PROJECTION):
        return lambda output: output
    product = product_by(node, [_PROJECTION], asymmetric)
    bound = options.ProjClip() or math.inf

    def projected(output: Value) -> Value:
        value = product(output)
        if node.has(_PROJECTION_BIAS):
            value = node.emit("add", value, node.value(_PROJECTION_BIAS))
        return node.emit.clip(value, -bound, bound)

    return projected


def _one(like: Value) -> NDArray[Any]:
    return np.ones((), dtype_of(like))


# Gates are numbers of 3 integer and 12 fraction bits, what opens them has 15 fraction bits.
_GATE_BITS, _GATE_SCALE = 3, np.float32(2.0**-12)
_UNIT_SCALE = np.float32(2.0**-15)


def _integer_step(node: Node, options: Any, batch: int) -> tuple[Step, State]:
    """LiteRT's integer kernel, to the last bit: 8-bit activations, 16-bit cell."""
    emit = node.emit
    if any(node.has(_PEEPHOLES + at) for at in range(3)):
        raise Refusal("in integers, with peepholes")
    if node.has(_PROJECTION):
        raise Refusal("in integers, with a projection")
    gates = _gates(node)
    units = node.shape(_RECURRENT + 1)[0]
    inputs, outputs = node.scales(0), node.scales(_OUTPUT_STATE)
    cells = node.scales(_CELL_STATE)
    if dtype_of(node.value(0)) != "int8":
        raise Refusal("in integers of more than 8 bits")
    fraction = -round(math.log2(float(cells.scale[0])))
    if 15 - fraction not in fixed_point.TANH_BITS:
        raise Refusal(f"in integers, with a cell of {fraction} fraction bits")
    from_input = _gate_sums(node, _WEIGHTS, inputs, gates, with_bias=True)
    from_output = _gate_sums(node, _RECURRENT, outputs, gates, with_bias=False)
    hidden = float(_UNIT_SCALE / node.result_scales.scale[0] * _UNIT_SCALE)
    clip = float(options.CellClip()) or math.inf
    bound = min(max(round(clip / float(cells.scale[0])), 0), 2**15 - 1) if clip < math.inf else None
    sigmoid, tanh = fixed_point.sigmoid(), fixed_point.tanh(_GATE_BITS)
    tanh_of_cell = fixed_point.tanh(15 - fraction)

    def settled(value: Value) -> Value:
        return emit.clip(value, fixed_point.LEAST, fixed_point.MOST)

    def step(now: Value, state: State) -> State:
        parts = {
            gate: settled(
                emit("add", settled(from_input(now, gate)), from_output(state.output, gate))
            )
            for gate in gates
        }
        forget = sigmoid(emit, parts[1])
        if 0 in parts:
            let_in = sigmoid(emit, parts[0])
        else:
            let_in = emit("subtract", np.asarray(fixed_point.MOST, np.int32), forget)
        fresh = tanh(emit, parts[2])
        kept = fixed_point.shifted(emit, emit("multiply", forget, state.cell), 15)
        added = fixed_point.shifted(emit, emit("multiply", let_in, fresh), 30 - fraction)
        cell = settled(emit("add", kept, added))
        if bound is not None:
            cell = emit.clip(cell, -bound, bound)
        product = emit("multiply", sigmoid(emit, parts[3]), tanh_of_cell(emit, cell))
        return State(fixed_point.rescaled(emit, product, hidden, outputs, "int8"), cell)

    empty = emit.full((batch, units), int(outputs.zero_point[0]), "int8")
    return step, State(empty, emit.full((batch, units), 0, "int32"))


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
        factor = scales.scale[0] * node.scales(first + gate).scale[0] / _GATE_SCALE
        return fixed_point.multiplied(emit, emit("add", total, bias), float(factor))

    return sums
