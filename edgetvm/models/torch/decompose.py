"""From the operators that modules call to those that the walk converts."""

from __future__ import annotations

from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.torch.graph import label_of

# Kept whole, since a converter does better than what PyTorch would take them apart into.
_KEPT: tuple[str, ...] = ()


def decomposed(program: Any) -> Any:
    """The program in PyTorch's core operators, without effects on its arguments.

    Raises:
        ModelUnreadableError: the module was exported in training mode.
    """
    import torch

    for node in program.graph.nodes:
        _check_mode(node)
    table = torch.export.default_decompositions()
    for name in _KEPT:
        namespace, operator, overload = name.split(".")
        target = getattr(getattr(getattr(torch.ops, namespace), operator), overload)
        table.pop(target, None)
    return program.run_decompositions(table)


def _check_mode(node: Any) -> None:
    """Refuse what only training does; such a module's answers depend on the batch, or on luck."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return
    arguments = dict(zip((one.name for one in schema.arguments), node.args, strict=False))
    what = ""
    if arguments.get("training") is True and arguments.get("running_mean") is not None:
        what = "normalises by the batch"
    elif arguments.get("train") is True and "dropout" in str(node.target):
        what = "drops values at random"
    if what:
        raise ModelUnreadableError(
            f"it was exported in training mode: {label_of(node)!r} {what}",
            mend="call module.eval() before torch.export.export",
        )
