"""What a node is called, and what of it is refused before anything tries to compute it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.emitter import dtype_of, is_static, shape_of

if TYPE_CHECKING:
    import onnx

# Loops are unrolled and functions opened: this many nodes are more than a model may become.
MOST_NODES = 200_000
# Of one tensor: more than the memory of the largest board.
MOST_BYTES = 1 << 35


def label(node: onnx.NodeProto) -> str:
    """What a node is called in messages."""
    return node.name or f"node making {own_name(node) or '?'}"


def own_name(node: onnx.NodeProto) -> str:
    """A node's name, or that of its first output."""
    return node.name or next((name for name in node.output if name), "")


def check_size(what: str, value: Any) -> None:
    """Refuse a tensor of no fixed size, or that no board holds, before anything computes it."""
    if not hasattr(getattr(value, "ty", None), "shape"):
        return
    if not is_static(value):
        raise ModelUnreadableError(
            f"{what} gives a tensor whose size depends on the data",
            mend="export a model whose shapes follow from those of its inputs",
        )
    bits = re.search(r"\d+$", dtype_of(value))
    size_bytes = math.prod(shape_of(value)) * (int(bits[0]) // 8 if bits else 1)
    if size_bytes > MOST_BYTES:
        raise ModelUnreadableError(
            f"{what} is a tensor of {size_bytes / 1e9:,.0f} GB, more than any board holds",
            mend="fix smaller shapes with --shape",
        )


def check_window(node: onnx.NodeProto, results: Sequence[Any]) -> None:
    """Refuse a window that lies nowhere in its input: TVM's later passes would stop at it."""
    if node.op_type.endswith(("Conv", "Pool")) and any(
        size <= 0 for one in results if one is not None for size in shape_of(one)
    ):
        raise ModelUnreadableError(
            f"{node.op_type} {label(node)!r}: its input is smaller than its window",
            mend="give larger inputs with --shape",
        )
