"""LSTM, GRU and RNN layers, by the code that unrolls ONNX's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.models.onnx.emitter import Emitter
from edgetvm.models.onnx.node import Node
from edgetvm.models.onnx.recurrent import RECURRENT
from edgetvm.models.torch.call import Call, Converter

# ONNX's gates, as places in PyTorch's: (input, forget, cell, output), (reset, update, new).
_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@dataclass(frozen=True)
class _Walk:
    """What ONNX's converters ask of the walk that met a node."""

    emitter: Emitter


def _layers(operator: str, activation: str = "") -> Converter:
    def convert(call: Call) -> Any:
        emit = call.emit
        states = call["hx"] if isinstance(call["hx"], (list, tuple)) else [call["hx"]]
        data = call["input"]
        if call["batch_first"]:
            data = emit.transpose(data, (1, 0, 2))
        directions = 2 if call["bidirectional"] else 1
        each = len(call["params"]) // (call["num_layers"] * directions)
        if each != (4 if call["has_biases"] else 2):
            raise call.refusal("its layers are projected (proj_size)")
        finals: list[list[Any]] = []
        for layer in range(call["num_layers"]):
            first = layer * directions
            weights = [
                call["params"][(first + one) * each : (first + one + 1) * each]
                for one in range(directions)
            ]
            initial = [emit.slice(state, 0, first, first + directions) for state in states]
            whole, *last = _layer(call, operator, activation, data, weights, initial)
            finals.append(last)
            # [steps, directions, batch, hidden] to [steps, batch, directions * hidden]
            steps, _, batch, hidden = (int(axis) for axis in whole.ty.shape)
            turned = emit.transpose(whole, (0, 2, 1, 3))
            data = emit.reshape(turned, (steps, batch, directions * hidden))
        if call["batch_first"]:
            data = emit.transpose(data, (1, 0, 2))
        return [data, *(emit.concat(list(parts), 0) for parts in zip(*finals, strict=True))]

    return convert


def _layer(
    call: Call,
    operator: str,
    activation: str,
    data: Any,
    weights: Sequence[Sequence[Any]],
    initial: Sequence[Any],
) -> list[Any]:
    emit, order = call.emit, _ORDER[operator]

    def ordered(value: Any) -> Any:
        parts = emit.split(value, len(order), 0)
        return emit.concat([parts[index] for index in order], 0)

    def stacked(values: Sequence[Any]) -> Any:
        return emit.concat([emit.unsqueeze(value, 0) for value in values], 0)

    biases = None
    if call["has_biases"]:
        biases = stacked([emit.concat([ordered(w[2]), ordered(w[3])], 0) for w in weights])
    attributes: dict[str, Any] = {
        "direction": "bidirectional" if len(weights) == 2 else "forward",
    }
    if operator == "GRU":
        attributes["linear_before_reset"] = 1
    if activation:
        attributes["activations"] = [activation] * len(weights)
    node = Node(
        operator=operator,
        name=call.label,
        inputs=[
            data,
            stacked([ordered(w[0]) for w in weights]),
            stacked([ordered(w[1]) for w in weights]),
            biases,
            None,
            *initial,
        ],
        attributes=attributes,
        outputs=("whole", "hidden", "cell")[: 1 + len(initial)],
        opset=14,
        reader=_Walk(emit),  # type: ignore[arg-type]  # all that these converters ask for
    )
    made: list[Any] = RECURRENT[operator](node)
    return made


RECURRENT_LAYERS: dict[str, Converter] = {
    "aten.lstm.input": _layers("LSTM"),
    "aten.gru.input": _layers("GRU"),
    "aten.rnn_tanh.input": _layers("RNN"),
    "aten.rnn_relu.input": _layers("RNN", "Relu"),
}
