"""Which node of the source file each Relax variable came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgetvm.models.division import guarded


def naming_builder() -> Any:
    """A `relax.BlockBuilder` that notes, by variable name, the `node` that was current at `emit`.

    Set `node` before each node is converted, or use `named`; `nodes` is what to give to `Imported`.
    What TVM's own converters emit through the builder is noted too.
    """
    from tvm import relax

    class NamingBuilder(relax.BlockBuilder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.node = ""
            self.nodes: dict[str, str] = {}

        @contextmanager
        def named(self, node: str) -> Iterator[None]:
            """What is emitted inside belongs to that node."""
            outer, self.node = self.node, node
            try:
                yield
            finally:
                self.node = outer

        def emit(self, expr: Any, name_hint: str = "") -> Any:
            return self._noted(self._flat(expr, {}), name_hint)

        def _noted(self, expr: Any, name_hint: str = "") -> Any:
            variable = super().emit(guarded(expr), name_hint)
            if self.node:
                self.nodes[variable.name] = self.node
            else:
                self._inherit(variable, expr)
            return variable

        def _flat(self, expr: Any, done: dict[int, Any]) -> Any:
            """The expression with the calls inside it bound first; TVM would do it unnoted."""
            if isinstance(expr, relax.Tuple):
                return relax.Tuple([self._leaf(one, done) for one in expr.fields])
            compound = isinstance(expr, relax.Call) and any(
                isinstance(one, (relax.Call, relax.Tuple)) for one in expr.args
            )
            if not compound or not str(getattr(expr.op, "name", "")).startswith("relax."):
                return expr
            operands = [self._leaf(one, done) for one in expr.args]
            return relax.Call(expr.op, operands, expr.attrs, expr.ty_args)

        def _leaf(self, operand: Any, done: dict[int, Any]) -> Any:
            if isinstance(operand, relax.Tuple):
                return self._flat(operand, done)
            if not isinstance(operand, relax.Call):
                return operand
            key = hash(operand)
            if key not in done:
                done[key] = self._noted(self._flat(operand, done))
            return done[key]

        def emit_output(self, output: Any, name_hint: str = "") -> Any:
            variable = super().emit_output(output, name_hint)
            self._inherit(variable, output)
            return variable

        def _inherit(self, second: Any, first: Any) -> None:
            """Passes keep a second variable for a result (an output's) in place of the first."""
            if isinstance(first, relax.Var) and first.name in self.nodes:
                self.nodes[second.name] = self.nodes[first.name]

    return NamingBuilder()


def identifier(name: str, otherwise: str) -> str:
    """A name that TVM takes for a variable; the other one where nothing is left of it."""
    cleaned = re.sub(r"[^0-9A-Za-z_]+", "_", str(name)).strip("_")[:80]
    if not cleaned:
        return otherwise
    return cleaned if cleaned[0].isalpha() else f"_{cleaned}"
