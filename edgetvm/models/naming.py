"""Which node of the source file each Relax variable came from."""

from __future__ import annotations

from typing import Any


def naming_builder() -> Any:
    """A `relax.BlockBuilder` that notes, by variable name, the `node` that was current at `emit`.

    Set `node` before each node is converted; `nodes` is what to give to `Imported`. Converters of
    TVM's own, which emit through the builder they are given, are noted too.
    """
    from tvm import relax

    class NamingBuilder(relax.BlockBuilder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.node = ""
            self.nodes: dict[str, str] = {}

        def emit(self, expr: Any, name_hint: str = "") -> Any:
            variable = super().emit(expr, name_hint)
            if self.node:
                self.nodes[variable.name] = self.node
            return variable

    return NamingBuilder()
