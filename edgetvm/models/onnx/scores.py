"""Labels and scores of classifiers (ai.onnx.ml)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.node import Node

# In the order of the numbers that TreeEnsemble has for them.
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def labelled(node: Node) -> NDArray[np.int64]:
    """The labels of a classifier, which have to be numbers."""
    for name in ("classlabels_int64s", "classlabels_ints"):
        if node.attributes.get(name):
            return np.asarray(node.attributes[name], np.int64)
    raise node.refusal(
        "its labels are strings, which boards do not have", "train it with numbered classes"
    )


def picked(node: Node, labels: NDArray[np.int64], index: Any) -> Any:
    """The label of each index."""
    emit = node.emit
    return emit.emit(emit.operator("take")(emit.const(labels), index, 0))


def transformed(node: Node, scores: Any) -> Any:
    """Scores `[rows, classes]` through the node's `post_transform`."""
    emit = node.emit
    given = node.attributes.get("post_transform", 0)
    kind = given if isinstance(given, str) else _TRANSFORMS[given]
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        return emit.unary("sigmoid", scores)
    if kind == "SOFTMAX":
        return emit.emit(emit.operator("nn.softmax")(scores, 1))
    if kind == "SOFTMAX_ZERO":
        return _softmax_of_what_is_not_zero(node, scores)
    raise node.refusal(f"it transforms its scores by {kind}")


def _softmax_of_what_is_not_zero(node: Node, scores: Any) -> Any:
    emit = node.emit
    near = emit.less(emit.unary("abs", scores), emit.like(1e-7, scores))
    highest = emit.emit(emit.operator("max")(scores, 1, keepdims=True))
    powers = emit.unary("exp", emit.subtract(scores, highest))
    small = emit.multiply(scores, emit.unary("exp", emit.unary("negative", highest)))
    counted = emit.where(near, emit.like(0, scores), powers)
    total = emit.emit(emit.operator("sum")(counted, 1, keepdims=True))
    return emit.divide(emit.where(near, small, powers), total)
