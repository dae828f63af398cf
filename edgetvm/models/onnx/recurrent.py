"""LSTM, GRU and RNN, unrolled: one matrix product for the inputs of all steps, then the steps.

Sequence lengths that are not full are masks: a step beyond a sequence's end keeps its state and
gives zeros, which is right for both directions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgetvm.models.onnx.emitter import Emitter, array_of, dtype_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

# Longer sequences would become graphs that take minutes to compile.
MOST_STEPS = 1024

_FIX = "--shape fixes the inputs that it depends on"

Activation = Callable[[Any], Any]


def _scaled(emit: Emitter, value: Any, alpha: float) -> Any:
    return emit.multiply(value, emit.like(alpha, value))


def _affine(emit: Emitter, value: Any, alpha: float, beta: float) -> Any:
    return emit.add(_scaled(emit, value, alpha), emit.like(beta, value))


def _hard_sigmoid(emit: Emitter, value: Any, alpha: float, beta: float) -> Any:
    return emit.clip(_affine(emit, value, alpha, beta), 0, 1)


def _leaky(emit: Emitter, value: Any, alpha: float, _: float) -> Any:
    zero = emit.like(0, value)
    return emit.add(emit.maximum(value, zero), _scaled(emit, emit.minimum(value, zero), alpha))


def _thresholded(emit: Emitter, value: Any, alpha: float, _: float) -> Any:
    return emit.where(emit.less(emit.like(alpha, value), value), value, emit.like(0, value))


def _elu(emit: Emitter, value: Any, alpha: float, _: float) -> Any:
    zero = emit.like(0, value)
    below = emit.subtract(emit.unary("exp", emit.minimum(value, zero)), emit.like(1, value))
    return emit.add(emit.maximum(value, zero), _scaled(emit, below, alpha))


def _softsign(emit: Emitter, value: Any, _alpha: float, _beta: float) -> Any:
    return emit.divide(value, emit.add(emit.unary("abs", value), emit.like(1, value)))


# Name to (default alpha, default beta, function).
_ACTIVATIONS: dict[str, tuple[float, float, Callable[[Emitter, Any, float, float], Any]]] = {
    "relu": (0, 0, lambda emit, value, _a, _b: emit.maximum(value, emit.like(0, value))),
    "tanh": (0, 0, lambda emit, value, _a, _b: emit.unary("tanh", value)),
    "sigmoid": (0, 0, lambda emit, value, _a, _b: emit.unary("sigmoid", value)),
    "affine": (1, 0, _affine),
    "leakyrelu": (0.01, 0, _leaky),
    "thresholdedrelu": (1, 0, _thresholded),
    "scaledtanh": (
        1,
        1,
        lambda emit, value, a, b: _scaled(emit, emit.unary("tanh", _scaled(emit, value, b)), a),
    ),
    "hardsigmoid": (0.2, 0.5, _hard_sigmoid),
    "elu": (1, 0, _elu),
    "softsign": (0, 0, _softsign),
    "softplus": (0, 0, lambda emit, value, _a, _b: emit.softplus(value)),
}


def _activations(node: Node, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """The functions of each direction, with their alpha and beta."""
    names = node.attributes.get("activations") or list(defaults) * directions
    # Each list of parameters is consumed by the functions that take one, in order.
    alphas = list(node.attributes.get("activation_alpha") or [])
    betas = list(node.attributes.get("activation_beta") or [])
    made: list[Activation] = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise node.refusal(f"there is no activation {name!r}")
        alpha, beta, function = _ACTIVATIONS[name.lower()]
        takes_alpha = name.lower() in _TAKE_ALPHA
        takes_beta = name.lower() in _TAKE_BETA
        a = float(alphas.pop(0)) if takes_alpha and alphas else alpha
        b = float(betas.pop(0)) if takes_beta and betas else beta
        made.append(lambda value, f=function, a=a, b=b: f(node.emit, value, a, b))  # type: ignore[misc]
    if len(made) != len(defaults) * directions:
        raise node.refusal(f"{len(made)} activations for {directions} directions")
    count = len(defaults)
    return [made[i * count : (i + 1) * count] for i in range(directions)]


_TAKE_ALPHA = frozenset(
    "affine leakyrelu thresholdedrelu scaledtanh hardsigmoid elu".split()  # noqa: SIM905
)
_TAKE_BETA = frozenset(("affine", "scaledtanh", "hardsigmoid"))


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer: its own weights and functions.

    Attributes:
        projected: the inputs' part of each step's gates `[batch, gates * hidden]`, bias included.
        recurrent: weights of the state, `[hidden, gates * hidden]`.
        bias: of the state's part, where it may not be added to the inputs'; else None.
        masks: for each step, which sequences go on; None where all do.
        activations: the functions.
        hidden: size of the state.
    """

    projected: list[Any]
    recurrent: Any
    bias: Any
    masks: list[Any] | None
    activations: list[Activation]
    hidden: int


class _Step:
    """What one step of an operator does."""

    @staticmethod
    def keeps_bias(node: Node) -> bool:
        """Whether the state's bias must stay apart from the inputs'."""
        del node
        return False

    @abstractmethod
    def __call__(
        self, node: Node, one: _Direction, projected: Any, states: list[Any], index: int
    ) -> list[Any]:
        """The new states, the output first.

        Args:
            node: the operator.
            one: the direction, number `index`.
            projected: this step's part of `one.projected`.
            states: as the step before left them.
        """


def _masks(node: Node, steps: int, batch: int, dtype: str) -> list[Any] | None:
    """For each step `[batch, 1]`, whether a sequence reaches it; None where all are full."""
    if not node.has(4):
        return None
    emit = node.emit
    lengths = array_of(node.inputs[4])
    if lengths is not None and bool((lengths >= steps).all()):
        return None
    column = emit.reshape(node.inputs[4], (batch, 1))
    return [emit.less(emit.like(step, column), column) for step in range(steps)]


def _clip(node: Node, value: Any) -> Any:
    limit = node.attributes.get("clip")
    return value if limit is None else node.emit.clip(value, -float(limit), float(limit))


def _layer(node: Node, gates: int, defaults: Sequence[str], states: int, step: _Step) -> list[Any]:
    """What the three operators share: directions, layouts, projection, masks, outputs."""
    emit = node.emit
    data, weights, recurrences = node.inputs[0], node.inputs[1], node.inputs[2]
    if node.attributes.get("layout", 0):
        data = emit.transpose(data, (1, 0, 2))
    if len(shape_of(data)) != 3:
        raise node.refusal(f"its input has {len(shape_of(data))} axes, not 3", _FIX)
    steps, batch, features = shape_of(data)
    directions, _, hidden = shape_of(recurrences)
    if steps > MOST_STEPS:
        raise node.refusal(
            f"it runs over {steps} steps; {MOST_STEPS} are the most that are unrolled",
            "fix a shorter sequence and carry the state from run to run",
        )
    functions = _activations(node, defaults, directions)
    masks = _masks(node, steps, batch, dtype_of(data))
    rows = emit.reshape(data, (steps * batch, features))
    outputs: list[list[Any]] = []
    finals: list[list[Any]] = []
    for index in range(directions):
        projected = emit.matmul(rows, emit.transpose(_of(emit, weights, index), (1, 0)))
        bias = None
        if node.has(3):
            of_inputs, of_state = emit.split(_of(emit, node.inputs[3], index), 2, 0)
            if step.keeps_bias(node):
                bias, added = of_state, of_inputs
            else:
                added = emit.add(of_inputs, of_state)
            projected = emit.add(projected, added)
        whole = emit.reshape(projected, (steps, batch, gates * hidden))
        direction = _Direction(
            projected=[emit.squeeze(part, 0) for part in emit.split(whole, steps, 0)],
            recurrent=emit.transpose(_of(emit, recurrences, index), (1, 0)),
            bias=bias,
            masks=masks,
            activations=functions[index],
            hidden=hidden,
        )
        backwards = node.attributes.get("direction", "forward") == "reverse" or index == 1
        first = [_initial(node, 5 + k, index, (batch, hidden), data) for k in range(states)]
        sequence, last = _run(node, direction, first, step, index, backwards)
        outputs.append(sequence)
        finals.append(last)
    return _results(node, outputs, finals)


def _of(emit: Emitter, value: Any, direction: int) -> Any:
    """The part of one direction, which is the first axis."""
    return emit.squeeze(emit.slice(value, 0, direction, direction + 1), 0)


def _initial(node: Node, position: int, index: int, shape: tuple[int, int], data: Any) -> Any:
    emit = node.emit
    if not node.has(position):
        return emit.const(np.zeros(shape, dtype_of(data)))
    given = node.inputs[position]
    axis = 1 if node.attributes.get("layout", 0) else 0
    return emit.squeeze(emit.slice(given, axis, index, index + 1), axis)


def _run(
    node: Node, direction: _Direction, states: list[Any], step: _Step, index: int, backwards: bool
) -> tuple[list[Any], list[Any]]:
    """All steps of one direction: the outputs in the order of the inputs, and the last states."""
    emit = node.emit
    order = range(len(direction.projected))
    sequence: list[Any] = [None] * len(direction.projected)
    for position in reversed(order) if backwards else order:
        new = step(node, direction, direction.projected[position], states, index)
        shown = new[0]
        if direction.masks is not None:
            mask = direction.masks[position]
            shown = emit.where(mask, new[0], emit.like(0, new[0]))
            new = [emit.where(mask, a, b) for a, b in zip(new, states, strict=True)]
        sequence[position] = shown
        states = new
    return sequence, states


def _results(node: Node, outputs: list[list[Any]], finals: list[list[Any]]) -> list[Any]:
    emit = node.emit
    batch_first = bool(node.attributes.get("layout", 0))
    steps = []
    # [steps, directions, batch, hidden], or [batch, steps, directions, hidden].
    whole = None
    if node.wants(0):
        if batch_first:
            for parts in zip(*outputs, strict=True):
                row = emit.concat([emit.unsqueeze(part, 1) for part in parts], 1)
                steps.append(emit.unsqueeze(row, 1))
            whole = emit.concat(steps, 1)
        else:
            for parts in zip(*outputs, strict=True):
                row = emit.concat([emit.unsqueeze(part, 0) for part in parts], 0)
                steps.append(emit.unsqueeze(row, 0))
            whole = emit.concat(steps, 0)
    axis = 1 if batch_first else 0
    last = [
        emit.concat([emit.unsqueeze(final[k], axis) for final in finals], axis)
        for k in range(len(finals[0]))
    ]
    return [whole, *last]


class _Lstm(_Step):
    """Gates in ONNX's order: input, output, forget, cell."""

    def __call__(
        self, node: Node, one: _Direction, projected: Any, states: list[Any], index: int
    ) -> list[Any]:
        emit = node.emit
        hidden, cell = states
        f, g, h = one.activations
        gates = emit.add(projected, emit.matmul(hidden, one.recurrent))
        into, out, forget, new = emit.split(gates, 4, 1)
        peep: list[Any] = []
        if node.has(7):
            peep = emit.split(_of(emit, node.inputs[7], index), 3, 0)
        if peep:
            into = emit.add(into, emit.multiply(peep[0], cell))
            forget = emit.add(forget, emit.multiply(peep[2], cell))
        into = f(_clip(node, into))
        if node.attributes.get("input_forget", 0):
            forget = emit.subtract(emit.like(1, into), into)
        else:
            forget = f(_clip(node, forget))
        cell = emit.add(emit.multiply(forget, cell), emit.multiply(into, g(_clip(node, new))))
        if peep:
            out = emit.add(out, emit.multiply(peep[1], cell))
        return [emit.multiply(f(_clip(node, out)), h(cell)), cell]


class _Gru(_Step):
    """Gates in ONNX's order: update, reset, hidden."""

    @staticmethod
    def keeps_bias(node: Node) -> bool:
        # The reset gate is applied to the state's product with its bias.
        return bool(node.attributes.get("linear_before_reset", 0))

    def __call__(
        self, node: Node, one: _Direction, projected: Any, states: list[Any], index: int
    ) -> list[Any]:
        emit = node.emit
        (hidden,) = states
        f, g = one.activations
        size = one.hidden
        of_inputs = emit.split(projected, 3, 1)
        if node.attributes.get("linear_before_reset", 0):
            product = emit.matmul(hidden, one.recurrent)
            if one.bias is not None:
                product = emit.add(product, one.bias)
            of_state = emit.split(product, 3, 1)
            update = f(_clip(node, emit.add(of_inputs[0], of_state[0])))
            reset = f(_clip(node, emit.add(of_inputs[1], of_state[1])))
            inner = emit.multiply(reset, of_state[2])
        else:
            both = emit.matmul(hidden, emit.slice(one.recurrent, 1, 0, 2 * size))
            of_update, of_reset = emit.split(both, 2, 1)
            update = f(_clip(node, emit.add(of_inputs[0], of_update)))
            reset = f(_clip(node, emit.add(of_inputs[1], of_reset)))
            inner = emit.matmul(
                emit.multiply(reset, hidden), emit.slice(one.recurrent, 1, 2 * size, 3 * size)
            )
        new = g(_clip(node, emit.add(of_inputs[2], inner)))
        # (1 - z) * new + z * hidden
        rest = emit.multiply(update, emit.subtract(hidden, new))
        return [emit.add(new, rest)]


class _Rnn(_Step):
    """One gate: the state itself."""

    def __call__(
        self, node: Node, one: _Direction, projected: Any, states: list[Any], index: int
    ) -> list[Any]:
        emit = node.emit
        total = emit.add(projected, emit.matmul(states[0], one.recurrent))
        return [one.activations[0](_clip(node, total))]


RECURRENT: dict[str, Converter] = {
    "LSTM": lambda node: _layer(node, 4, ("Sigmoid", "Tanh", "Tanh"), 2, _Lstm()),
    "GRU": lambda node: _layer(node, 3, ("Sigmoid", "Tanh"), 1, _Gru()),
    "RNN": lambda node: _layer(node, 1, ("Tanh",), 1, _Rnn()),
}
