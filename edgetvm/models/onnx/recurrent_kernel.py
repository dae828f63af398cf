"""All steps of one direction of a recurrent layer as one kernel, with a real loop over time.

There is no unrolled form: it would win nowhere. Measured on x86-64 with one thread, an LSTM of 64
features and 128 units, this kernel beside a graph of all steps, by number of steps: 1: 66 us both;
4: 85 and 111 us; 16: 149 and 285 us; 64: 279 and 960 us; 256: 0.9 and 44 ms. The graph takes 4 s
to compile at 64 steps and 49 s at 256; the kernel less than 1 s at any number.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from edgetvm.models.onnx.activations import clipped

# Sums that are kept in registers at once: four vectors of AVX2, eight of NEON.
_TILE = 32
# Parts that a sum of 8-bit weights is taken in: memory keeps up with more of these at once.
_PARTS_OF_BYTES = 2

# From an element to an element.
Activation = Callable[[Any], Any]


@dataclass(frozen=True)
class Layer:
    """One direction of a layer.

    Attributes:
        steps, batch, hidden: sizes.
        gates: how many values each unit takes from a product.
        states: how many it keeps; the first is the output.
        dtype: of everything.
        backwards: from the last step to the first.
        clip: bound of what goes into an activation, if any.
        activations: in ONNX's order.
        optional: which of bias, peepholes, lengths and scales are given, in the order of operands.
            With scales, one for each column, the weights are integers: products then take the
            state in 8 bits too, over the range that each row has at each step.
        step: writes what happens at one step.
    """

    steps: int
    batch: int
    hidden: int
    gates: int
    states: int
    dtype: str
    backwards: bool
    clip: float | None
    activations: Sequence[Activation]
    optional: Sequence[str]
    step: Callable[[Writer, Any], None]

    @property
    def width(self) -> int:
        """Columns of a product."""
        return self.gates * self.hidden

    @property
    def block(self) -> int:
        """Columns of the recurrent weights that lie together, row after row: a tile's, if it can
        be; a tile then reads its weights from one end to the other.
        """
        # A GRU's second product begins at its third gate.
        firsts = (self.width, 2 * self.hidden) if self.gates == 3 else (self.width,)
        return _TILE if all(first % _TILE == 0 for first in firsts) else self.width

    @property
    def parts(self) -> int:
        """Parts that each sum is taken in, units in turns."""
        return math.gcd(self.hidden, _PARTS_OF_BYTES) if "scales" in self.optional else 1


def run_layer(layer: Layer, *operands: Any) -> list[Any]:
    """The kernel: outputs of all steps `[steps, batch, hidden]`, last states, and scratch.

    Args:
        layer: what it is.
        operands: the inputs' part of the gates `[steps, batch, width]`, recurrent weights
            `[width / block, hidden, block]`, first states `[batch, hidden]`, `layer.optional`.
    """
    from tvm import te, tirx

    shapes: list[tuple[int, ...]] = [(layer.steps, layer.batch, layer.hidden)]
    shapes += [(layer.batch, layer.hidden)] * layer.states
    # A tensor of the graph, not of the kernel, so that the memory planner sees it.
    shapes.append((layer.batch, layer.width))
    names = ["sequence", *(f"state_{index}" for index in range(layer.states)), "gates"]
    if "scales" in layer.optional:
        shapes.append((layer.batch, layer.hidden))
        names.append("levels")
    made: list[Any] = te.extern(
        shapes,
        list(operands),
        lambda inputs, outputs: _body(layer, inputs, outputs),
        dtype=[layer.dtype] * len(shapes),
        out_buffers=[
            tirx.decl_buffer(shape, layer.dtype, name, layout=None)
            for shape, name in zip(shapes, names, strict=True)
        ],
        name="recurrent",
    )
    return made


def _body(layer: Layer, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as T

    with IRBuilder() as builder, T.seq_scope():
        given = [T.buffer_proxy(buffer) for buffer in inputs]
        sequence, *rest = (T.buffer_proxy(buffer) for buffer in outputs)
        states, (gates, *levels) = rest[: layer.states], rest[layer.states :]
        first = given[2 : 2 + layer.states]
        optional = dict(zip(layer.optional, given[2 + layer.states :], strict=True))
        writer = Writer(layer, given[0], given[1], states, gates, levels, sequence, optional, T)
        with T.serial(0, layer.batch) as row, T.serial(0, layer.hidden) as unit:
            for state, initial in zip(states, first, strict=True):
                state[row, unit] = initial[row, unit]
        with T.serial(0, layer.steps) as step:
            layer.step(writer, layer.steps - 1 - step if layer.backwards else step)
    return builder.get()


@dataclass
class Writer:
    """Writes one step; `time` is the position in the sequence everywhere."""

    layer: Layer
    projected: Any
    recurrent: Any
    states: Sequence[Any]
    gates: Any
    levels: Sequence[Any]
    sequence: Any
    optional: dict[str, Any]
    tir: Any = field(repr=False)

    def product(
        self, source: Callable[[Any, Any], Any], first: int, count: int, start: Callable[..., Any]
    ) -> None:
        """gates[first : first + count] = start + source @ the weights of these gates.

        Args:
            source: the element of a row and unit.
            first: gate.
            count: of gates.
            start: what the sum of a row and column begins with.
        """
        begin, width = first * self.layer.hidden, count * self.layer.hidden
        steps = self._rounded(source) if self.levels else None
        whole = width // _TILE
        if whole:
            with self.tir.serial(0, whole) as tile:
                self._tile(source, begin + tile * _TILE, _TILE, start, steps)
        done, lanes = whole * _TILE, _TILE
        while done < width:
            # LLVM takes vectors apart whose length is not a power of two.
            if width - done >= lanes:
                self._tile(source, begin + done, lanes, start, steps)
                done += lanes
            else:
                lanes //= 2

    def _tile(self, source: Any, column: Any, lanes: int, start: Any, steps: Any) -> None:
        tir, layer = self.tir, self.layer
        with tir.serial(0, layer.batch) as row:
            totals = [self._local(lanes) for _ in range(layer.parts)]
            for total in totals:
                with tir.vectorized(0, lanes) as lane:
                    begins = steps is None and total is totals[0]
                    total[lane] = start(row, column + lane) if begins else self.zero
            with tir.serial(0, layer.hidden // layer.parts) as group:
                for part, total in enumerate(totals):
                    unit = group * layer.parts + part
                    with tir.vectorized(0, lanes) as lane:
                        weight = self._weight(unit, column + lane)
                        value = source(row, unit) if steps is None else self.levels[0][row, unit]
                        total[lane] = total[lane] + value * weight
            with tir.vectorized(0, lanes) as lane:
                whole = functools.reduce(operator.add, [total[lane] for total in totals])
                if steps is not None:
                    scale = steps[row] * self.optional["scales"][column + lane]
                    whole = start(row, column + lane) + whole * scale
                self.gates[row, column + lane] = whole

    def _weight(self, unit: Any, column: Any) -> Any:
        block = self.layer.block
        return self.recurrent[column // block, unit, column % block].astype(self.layer.dtype)

    def _local(self, size: int) -> Any:
        return self.tir.buffer_proxy(self.tir.alloc_buffer([size], self.layer.dtype, scope="local"))

    def _rounded(self, source: Callable[[Any, Any], Any]) -> Any:
        """Put `source` in whole numbers of a step into `levels`; gives each row's step.

        256 of them cover a row's range at this time, 0 included.
        """
        from tvm import tirx

        tir, layer = self.tir, self.layer
        steps = self._local(layer.batch)
        most = self._number(255.0)
        with tir.serial(0, layer.batch) as row:
            low, high = self._range(lambda unit: source(row, unit))
            one = self._number(1.0)
            steps[row] = tirx.Select(high == low, one, (high - low) / most)
            point = self.held(tirx.nearbyint(-low / steps[row]))
            with tir.serial(0, layer.hidden) as unit:
                level = tirx.nearbyint(source(row, unit) / steps[row])
                level = tirx.max(tirx.min(level, most - point), -point)
                self.levels[0][row, unit] = level
        return steps

    def _range(self, source: Callable[[Any], Any]) -> tuple[Any, Any]:
        """The least and the largest element of a row, 0 included."""
        from tvm import tirx

        tir, layer = self.tir, self.layer
        lanes = math.gcd(layer.hidden, _TILE)
        low, high = self._local(lanes), self._local(lanes)
        with tir.vectorized(0, lanes) as lane:
            low[lane] = self.zero
            high[lane] = self.zero
        with tir.serial(0, layer.hidden // lanes) as tile, tir.vectorized(0, lanes) as lane:
            value = source(tile * lanes + lane)
            low[lane] = tirx.min(low[lane], value)
            high[lane] = tirx.max(high[lane], value)
        for lane in range(1, lanes):
            low[0] = tirx.min(low[0], low[lane])
            high[0] = tirx.max(high[0], high[lane])
        return low[0], high[0]

    def _number(self, value: float) -> Any:
        from tvm import tirx

        return tirx.const(value, self.layer.dtype)

    @property
    def zero(self) -> Any:
        """0 in the layer's dtype."""
        return self._number(0.0)

    def gate(self, row: Any, index: int, unit: Any) -> Any:
        """One gate of one unit, as the products left it."""
        return self.gates[row, index * self.layer.hidden + unit]

    def set_gate(self, row: Any, index: int, unit: Any, value: Any) -> None:
        """Put something else there."""
        self.gates[row, index * self.layer.hidden + unit] = value

    def held(self, value: Any) -> Any:
        """A value that is used more than once, computed once."""
        place = self._local(1)
        place[0] = value
        return place[0]

    def activated(self, index: int, value: Any) -> Any:
        """An activation of the value, clipped before."""
        limit = self.layer.clip
        if limit is not None:
            value = clipped(value, -limit, limit, self.layer.dtype)
        return self.held(self.layer.activations[index](value))

    def units(self) -> AbstractContextManager[tuple[Any, Any]]:
        """A loop over all rows and units."""
        made: AbstractContextManager[tuple[Any, Any]] = self.tir.grid(
            self.layer.batch, self.layer.hidden
        )
        return made

    def keep(self, time: Any, row: Any, unit: Any, new: Sequence[Any]) -> None:
        """Store new states; beyond the end of its sequence, a row keeps the old and gives zeros."""
        tir = self.tir
        if "lengths" not in self.optional:
            self._store(time, row, unit, new)
            return
        with tir.If(time < self.optional["lengths"][row]):
            with tir.Then():
                self._store(time, row, unit, new)
            with tir.Else():
                self.sequence[time, row, unit] = self.zero

    def _store(self, time: Any, row: Any, unit: Any, new: Sequence[Any]) -> None:
        for state, value in zip(self.states, new, strict=True):
            state[row, unit] = value
        self.sequence[time, row, unit] = new[0]
