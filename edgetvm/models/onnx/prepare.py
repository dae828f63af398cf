"""An ONNX graph made ready for the walk: opset and simplification, with what was done in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgetvm.models.onnx.apart import WORKER

if TYPE_CHECKING:
    import onnx

# Below it, operators broadcast by attributes and take shapes as attributes.
OLDEST_OPSET = 7
AS_IT_IS = "not simplified: onnxsim and onnxslim fail on this graph, or it is too large for them"


def upgraded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The model in an opset that the converters know, and what was done."""
    opset = max(
        (one.version for one in model.opset_import if one.domain in ("", "ai.onnx")),
        default=OLDEST_OPSET,
    )
    if opset >= OLDEST_OPSET:
        return model, []
    for target in (13, OLDEST_OPSET):
        # ONNX's version converter lacks adapters for many operators: then the file stays as it is.
        converted = WORKER.run("upgrade", model, {"opset": [target]})
        if converted is not None:
            return converted, [f"opset {opset} upgraded to {target}"]
    return model, [f"opset {opset} is older than {OLDEST_OPSET} and could not be upgraded"]


def simplified(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[onnx.ModelProto, str] | None:
    """The model with less in it: what fixed shapes make constant is folded, chains are fused.

    None, where both tools fail on it. The walk folds too, so that nothing rests on the tools:
    they make graphs smaller.
    """
    for tool in ("onnxsim", "onnxslim"):
        simple = WORKER.run(tool, model, shapes)
        if simple is not None:
            return simple, f"simplified by {tool}"
    return None
