"""What is asked of a node of the file itself: its name, its attributes, the size of its results."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.onnx.emitter import dtype_of, shape_of

if TYPE_CHECKING:
    import onnx

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
    bits = re.search(r"\d+$", dtype_of(value))
    try:
        sizes = shape_of(value)
    except TypeError as error:  # a size of TVM's that is no number
        raise ModelUnreadableError(
            f"{what} gives a tensor whose size depends on the data",
            mend="export a model whose shapes follow from those of its inputs",
        ) from error
    size_bytes = math.prod(sizes) * (int(bits[0]) // 8 if bits else 1)
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


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node, as Python values."""
    from onnx import helper

    values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {name: _text(value) for name, value in values.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [_text(one) for one in value]
    return value
