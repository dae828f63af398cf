"""From the operators that modules call to those that the walk converts."""

from __future__ import annotations

import warnings
from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.torch.converters import KEPT
from edgetvm.models.torch.graph import label_of


def decomposed(program: Any) -> Any:
    """The program in PyTorch's core operators, without effects on its arguments.

    Raises:
        ModelUnreadableError: the module was exported in training mode.
    """
    import torch

    for node in program.graph.nodes:
        _check_mode(node)
    table = torch.export.default_decompositions()
    projected = any(_is_projected(node) for node in program.graph.nodes)
    for name in KEPT:
        if projected and name == "aten.lstm.input":
            continue
        namespace, operator, overload = name.split(".")
        target = getattr(getattr(getattr(torch.ops, namespace), operator), overload)
        table.pop(target, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return program.run_decompositions(table)


def _is_projected(node: Any) -> bool:
    """Whether it is an LSTM with `proj_size`: PyTorch takes that apart."""
    if str(node.target) != "aten.lstm.input":
        return False
    _, _, parameters, biases, layers, _, _, both, _ = node.args
    plain = int(layers) * (2 if both else 1) * (4 if biases else 2)
    return len(parameters) != plain


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
