"""LSTM, GRU and RNN: one matrix product for the inputs of all steps, then one kernel of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetvm.models.onnx.activations import ACTIVATIONS
from edgetvm.models.onnx.emitter import Emitter, dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node
from edgetvm.models.onnx.recurrent_kernel import Activation, Layer, Writer, run_layer

_FIX = "--shape fixes the inputs that it depends on"

Step = Callable[[Writer, Any], None]


@dataclass(frozen=True)
class Products:
    """What a layer multiplies by.

    Attributes:
        directions, hidden: sizes.
        projected: the product of all rows with a direction's weights of the input.
        recurrent: a direction's weights of the state, `[gates * hidden, hidden]`.
        beside: what else the kernel is given of a direction, by name.
    """

    directions: int
    hidden: int
    projected: Callable[[int], Any]
    recurrent: Callable[[int], Any]
    beside: Callable[[int], dict[str, Any]] = lambda _: {}


def _float_products(node: Node, rows: Any) -> Products:
    """ONNX's own: `[directions, gates * hidden, ...]`."""
    emit, weights, recurrences = node.emit, node.inputs[1], node.inputs[2]
    directions, _, hidden = shape_of(recurrences)
    return Products(
        directions,
        hidden,
        lambda index: emit.matmul(rows, emit.transpose(of_direction(emit, weights, index), (1, 0))),
        lambda index: of_direction(emit, recurrences, index),
    )


def _activations(
    node: Node, defaults: Sequence[str], directions: int, dtype: str
) -> list[list[Activation]]:
    """The functions of each direction, with their alpha and beta."""
    names = node.attributes.get("activations") or list(defaults) * directions
    count = len(defaults)
    if len(names) != count * directions:
        raise node.refusal(f"{len(names)} activations for {directions} directions")
    # Each list of parameters is consumed by the functions that take one, in order.
    alphas = list(node.attributes.get("activation_alpha") or [])
    betas = list(node.attributes.get("activation_beta") or [])
    made: list[Activation] = []
    for name in names:
        if name.lower() not in ACTIVATIONS:
            raise node.refusal(f"there is no activation {name!r}")
        alpha, beta, function = ACTIVATIONS[name.lower()]
        if alpha is not None and alphas:
            alpha = float(alphas.pop(0))
        if beta is not None and betas:
            beta = float(betas.pop(0))
        made.append(lambda x, f=function, a=alpha or 0.0, b=beta or 0.0: f(x, a, b, dtype))  # type: ignore[misc]
    return [made[i * count : (i + 1) * count] for i in range(directions)]


def _layer(
    node: Node,
    gates: int,
    defaults: Sequence[str],
    states: int,
    step: Step,
    products_of: Callable[[Node, Any], Products] = _float_products,
) -> list[Any]:
    """What the operators share: directions, layouts, projection, masks, outputs."""
    emit, data = node.emit, node.inputs[0]
    if rank_of(data) != 3:
        raise node.refusal(f"its input has {rank_of(data)} axes, not 3", _FIX)
    own = dtype_of(data)
    # float16 is computed in float32, as runtimes without half arithmetic do.
    dtype = "float64" if own == "float64" else "float32"
    batch_first = bool(node.attributes.get("layout", 0))
    if batch_first:
        data = emit.transpose(data, (1, 0, 2))
    steps, batch, features = shape_of(data)
    rows = emit.reshape(data, (steps * batch, features))
    products = products_of(node, rows)
    directions, hidden = products.directions, products.hidden
    _check_sizes(node, batch, gates, products)
    functions = _activations(node, defaults, directions, dtype)
    clip = node.attributes.get("clip")
    optional = _optional(node, steps)
    keeps_bias = node.operator == "GRU" and bool(node.attributes.get("linear_before_reset", 0))
    directed: list[list[Any]] = []
    for index in range(directions):
        projected = products.projected(index)
        extra = {name: value for name, value in optional.items() if name == "lengths"}
        extra |= products.beside(index)
        if "peepholes" in optional:
            extra["peepholes"] = of_direction(emit, optional["peepholes"], index)
        if node.has(3):
            added, of_state = emit.split(of_direction(emit, node.inputs[3], index), 2, 0)
            if keeps_bias:
                extra["bias"] = of_state
            else:
                added = emit.add(added, of_state)
            projected = emit.add(projected, added)
        layer = Layer(
            steps=steps,
            batch=batch,
            hidden=hidden,
            gates=gates,
            states=states,
            dtype=dtype,
            backwards=node.attributes.get("direction", "forward") == "reverse" or index == 1,
            clip=None if clip is None else float(clip),
            activations=functions[index],
            optional=tuple(extra),
            step=step,
        )
        directed.append(
            _run(
                node,
                layer,
                [
                    emit.reshape(projected, (steps, batch, gates * hidden)),
                    _packed(emit, products.recurrent(index), layer),
                    *(_initial(node, 5 + k, index, (batch, hidden), own) for k in range(states)),
                    *extra.values(),
                ],
                own,
            )
        )
    return _results(node, directed, batch_first)


def _optional(node: Node, steps: int) -> dict[str, Any]:
    """Inputs that a kernel only takes where they matter."""
    found = {}
    if node.has(4):
        lengths = node.constant(4)
        if lengths is None or not bool((lengths >= steps).all()):
            found["lengths"] = node.emit.cast(node.inputs[4], "int32")
    if node.has(7):
        found["peepholes"] = node.inputs[7]
    return found


def _check_sizes(node: Node, batch: int, gates: int, products: Products) -> None:
    """Refuse operands of other sizes: the kernel would read beyond their ends."""
    directions, hidden = products.directions, products.hidden
    state = (directions, batch, hidden)
    if node.attributes.get("layout", 0):
        state = (batch, directions, hidden)
    wanted = {3: (directions, 2 * gates * hidden), 4: (batch,), 5: state, 6: state}
    wanted[7] = (directions, 3 * hidden)
    for index, shape in wanted.items():
        if node.has(index) and shape_of(node.inputs[index]) != shape:
            raise node.refusal(
                f"input {index} has shape {list(shape_of(node.inputs[index]))}, not {list(shape)}",
                _FIX,
            )


def of_direction(emit: Emitter, value: Any, direction: int) -> Any:
    """The part of one direction, which is the first axis."""
    return emit.squeeze(emit.slice(value, 0, direction, direction + 1), 0)


def _packed(emit: Emitter, recurrent: Any, layer: Layer) -> Any:
    """The state's weights as the kernel reads them."""
    blocks = emit.reshape(recurrent, (layer.width // layer.block, layer.block, layer.hidden))
    return emit.transpose(blocks, (0, 2, 1))


def _initial(node: Node, position: int, index: int, shape: tuple[int, int], dtype: str) -> Any:
    emit = node.emit
    if not node.has(position):
        return emit.const(np.zeros(shape, dtype))
    given = node.inputs[position]
    axis = 1 if node.attributes.get("layout", 0) else 0
    return emit.squeeze(emit.slice(given, axis, index, index + 1), axis)


def _run(node: Node, layer: Layer, operands: list[Any], dtype: str) -> list[Any]:
    """One direction: the outputs of all steps, and the last states."""
    from tvm import relax

    emit = node.emit
    cast = [
        emit.cast(value, layer.dtype) if "float" in dtype_of(value) else value for value in operands
    ]
    made = emit.te(lambda *tensors: run_layer(layer, *tensors), *cast)
    results = [emit.emit(relax.TupleGetItem(made, index)) for index in range(1 + layer.states)]
    return [emit.cast(value, dtype) for value in results]


def _results(node: Node, directed: list[list[Any]], batch_first: bool) -> list[Any]:
    """ONNX's outputs: `[steps, directions, batch, hidden]` and `[directions, batch, hidden]`."""
    emit = node.emit
    sequences, *states = zip(*directed, strict=True)
    whole = None
    if node.wants(0):
        whole = emit.concat([emit.unsqueeze(one, 1) for one in sequences], 1)
        if batch_first:
            whole = emit.transpose(whole, (2, 0, 1, 3))
    axis = 1 if batch_first else 0
    last = [emit.concat([emit.unsqueeze(one, axis) for one in state], axis) for state in states]
    return [whole, *last]


def lstm(node: Node, products_of: Callable[[Node, Any], Products] = _float_products) -> list[Any]:
    """An LSTM whose weights are read and multiplied as `products_of` says."""
    return _layer(node, 4, ("Sigmoid", "Tanh", "Tanh"), 2, _lstm_step(node), products_of)


def _lstm_step(node: Node) -> Step:
    """Gates in ONNX's order: input, output, forget, cell."""
    couples = bool(node.attributes.get("input_forget", 0))

    def step(write: Writer, time: Any) -> None:
        hidden, cell = write.states
        size = write.layer.hidden
        peepholes = write.optional.get("peepholes")
        write.product(lambda b, k: hidden[b, k], 0, 4, lambda b, c: write.projected[time, b, c])
        with write.units() as (row, unit):

            def peep(value: Any, index: int, of: Any) -> Any:
                if peepholes is None:
                    return value
                return value + peepholes[index * size + unit] * of

            old = cell[row, unit]
            into = write.activated(0, peep(write.gate(row, 0, unit), 0, old))
            if couples:
                forget = 1.0 - into
            else:
                forget = write.activated(0, peep(write.gate(row, 2, unit), 2, old))
            fresh = write.activated(1, write.gate(row, 3, unit))
            new = write.held(forget * old + into * fresh)
            out = write.activated(0, peep(write.gate(row, 1, unit), 1, new))
            shown = write.held(out * write.layer.activations[2](new))
            write.keep(time, row, unit, [shown, new])

    return step


def _gru(node: Node) -> Step:
    """Gates in ONNX's order: update, reset, hidden."""
    return _gru_reset_after if node.attributes.get("linear_before_reset", 0) else _gru_reset_before


def _gru_reset_after(write: Writer, time: Any) -> None:
    """The reset gate is applied to the state's product with its bias."""
    (hidden,) = write.states
    size = write.layer.hidden
    bias = write.optional.get("bias")
    write.product(
        lambda b, k: hidden[b, k],
        0,
        3,
        lambda _, c: bias[c] if bias is not None else write.zero,
    )
    with write.units() as (row, unit):

        def given(index: int) -> Any:
            return write.projected[time, row, index * size + unit]

        update = write.activated(0, given(0) + write.gate(row, 0, unit))
        reset = write.activated(0, given(1) + write.gate(row, 1, unit))
        new = write.activated(1, given(2) + reset * write.gate(row, 2, unit))
        write.keep(time, row, unit, [write.held(new + update * (hidden[row, unit] - new))])


def _gru_reset_before(write: Writer, time: Any) -> None:
    """The reset gate is applied to the state: its product has to wait for that."""
    (hidden,) = write.states

    def given(row: Any, column: Any) -> Any:
        return write.projected[time, row, column]

    size = write.layer.hidden
    write.product(lambda b, k: hidden[b, k], 0, 2, given)
    with write.units() as (row, unit):
        write.set_gate(row, 0, unit, write.activated(0, write.gate(row, 0, unit)))
        reset = write.activated(0, write.gate(row, 1, unit))
        write.set_gate(row, 1, unit, reset * hidden[row, unit])
    write.product(lambda b, k: write.gates[b, size + k], 2, 1, given)
    with write.units() as (row, unit):
        new = write.activated(1, write.gate(row, 2, unit))
        update = write.gate(row, 0, unit)
        write.keep(time, row, unit, [write.held(new + update * (hidden[row, unit] - new))])


def _rnn(_: Node) -> Step:
    """One gate: the state itself."""

    def step(write: Writer, time: Any) -> None:
        (hidden,) = write.states
        write.product(lambda b, k: hidden[b, k], 0, 1, lambda b, c: write.projected[time, b, c])
        with write.units() as (row, unit):
            write.keep(time, row, unit, [write.activated(0, write.gate(row, 0, unit))])

    return step


RECURRENT: dict[str, Converter] = {
    "LSTM": lstm,
    "GRU": lambda node: _layer(node, 3, ("Sigmoid", "Tanh"), 1, _gru(node)),
    "RNN": lambda node: _layer(node, 1, ("Tanh",), 1, _rnn(node)),
}
