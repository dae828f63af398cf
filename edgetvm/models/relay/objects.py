"""TVM's JSON form of an object graph: metadata of Relay text, and what `tvm.ir.save_json` gives.

A file is a list of nodes that refer to each other by number. In a node's `attrs` all values are
strings, and only the class's C++ declaration says which of them are such numbers: `_PLAIN` and
`_REFERENCES` hold what is needed of that.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import OtherType, malformed
from edgetvm.models.relay.params import tensor_from

# Fields of operators' attributes that are an int, a double or a bool in C++: the number itself.
_PLAIN = frozenset(
    (
        *("a_max", "a_min", "align_corners", "allowzero", "alpha", "axis", "beta"),
        *("bias", "block_size", "ceil_mode", "center", "clip", "coord_start"),
        *("count_include_pad", "cubic_alpha", "cubic_exclude", "deformable_groups"),
        *("depth", "dilation_value", "eps", "epsilon", "exclude", "extrapolation_value"),
        *("feature_stride", "force_suppress", "groups", "hop_length", "id_index"),
        *("ignore_index", "invalid_to_bottom", "iou_loss", "is_ascend"),
        *("is_lshift_required", "is_multiply", "is_rshift_required", "k1", "k2"),
        *("keep_background", "keepdims", "kind", "lhs_axis", "lhs_begin", "mask_value"),
        *("max_displacement", "multiplier", "n_fft", "normalized", "num_groups"),
        *("num_newaxis", "onesided", "pad_value", "passthrough", "rate", "return_counts"),
        *("return_indices", "rhs_axis", "rhs_begin", "right", "rpn_min_size"),
        *("rpn_post_nms_top_n", "rpn_pre_nms_top_n", "sample_ratio", "scale", "scale_d"),
        *("scale_h", "scale_w", "score_index", "select_last_index", "shift", "sign"),
        *("size", "sorted", "sparse_lhs", "spatial_scale", "stride1", "stride2"),
        *("sub_diag_right_align", "super_diag_right_align", "threshold", "tile_size"),
        *("top_k", "transpose_a", "transpose_b", "unbiased", "upper", "win_length"),
    )
)
# The same names in classes where they are objects: the number of a node.
_REFERENCES = {
    "axis": frozenset(
        (
            *("ReduceAttrs", "ArgReduceAttrs", "VarianceAttrs", "SqueezeAttrs"),
            *("L2NormalizeAttrs", "StackAttrs", "RepeatAttrs", "ReverseAttrs", "TakeAttrs"),
            *("GatherAttrs", "ScatterAttrs", "ScatterAddAttrs", "ScatterElementsAttrs"),
            *("ScanopAttrs", "CumSumAttrs", "CumProdAttrs", "CumsumAttrs"),
        )
    ),
    "size": frozenset(["ResizeAttrs", "Resize1DAttrs", "Resize2DAttrs", "Resize3DAttrs"]),
}
# ... and names that are numbers in one class only.
_PLAIN_IN = {"kernel_size": frozenset(["CorrelationAttrs"])}
_DEEPEST = 64


class ObjectGraph:
    """The nodes of one JSON document."""

    def __init__(self, text: str) -> None:
        """Parse a document.

        Raises:
            ModelUnreadableError: not JSON, or not of that form.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise malformed(
                f"not JSON, or cut off: {str(error) or type(error).__name__:.100}"
            ) from error
        _refuse_other(document)
        nodes = document["nodes"]
        arrays = document.get("b64ndarrays", [])
        self._nodes: list[dict[str, Any]] = nodes
        self._encoded: list[Any] = arrays if isinstance(arrays, list) else []
        self._root = document.get("root")
        self._arrays: dict[int, NDArray[np.generic]] = {}
        self._values: dict[int, Any] = {}

    # Nodes and their fields.

    def _index(self, number: object) -> int:
        index = number if isinstance(number, int) else -1
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10:
            index = int(number)
        if not 0 <= index < len(self._nodes):
            raise malformed(f"damaged: there is no node {number!s:.40}")
        return index

    def _node(self, number: object) -> dict[str, Any]:
        return self._nodes[self._index(number)]

    def _kind(self, number: object) -> str:
        return str(self._node(number).get("type_key", ""))

    def _fields(self, number: object) -> dict[str, Any]:
        fields = self._node(number).get("attrs", {})
        return fields if isinstance(fields, dict) else {}

    def _items(self, number: object) -> list[Any]:
        items = self._node(number).get("data", [])
        return items if isinstance(items, list) else []

    def _field(self, number: object, name: str) -> Any:
        fields = self._fields(number)
        if name not in fields:
            raise malformed(f"damaged: a node {self._kind(number):.40} without {name!r}")
        return fields[name]

    def _array(self, number: object) -> NDArray[np.generic]:
        try:
            index = int(str(number))
            if index not in self._arrays:
                encoded = str(self._encoded[index]) if index >= 0 else ""
                self._arrays[index] = tensor_from(base64.b64decode(encoded, validate=True))
            return self._arrays[index]
        except (TypeError, ValueError, IndexError, binascii.Error) as error:
            raise malformed(f"damaged: tensor {number!s:.40} is not there or not base64") from error

    # Plain values.

    def value(self, number: object, depth: int = 0) -> Any:
        """A node as a plain value: number, text, list, dict, array or None."""
        node = self._node(number)
        index = self._index(number)
        if index in self._values:
            return self._values[index]
        if depth > _DEEPEST:
            raise malformed("damaged: attributes are nested too deep, or in a circle")
        self._values[index] = value = self._value(index, node, depth)
        return value

    def _value(self, number: int, node: Mapping[str, Any], depth: int) -> Any:
        fields = self._fields(number)
        value: Any
        match kind := self._kind(number):
            case "" | "tir.Any" | "tir.Var" | "tir.SizeVar" | "relay.Any":
                value = None
            case "IntImm" | "FloatImm" | "tir.StringImm" | "StringImm":
                value = plain(fields.get("value", "0"))
                if kind == "IntImm" and fields.get("dtype") == "bool":
                    value = bool(value)
            case "runtime.String" | "runtime.BoxInt" | "runtime.BoxFloat" | "runtime.BoxBool":
                value = represented(node)
                value = value if kind == "runtime.String" else plain(value)
            case "Array":
                value = [self.value(item, depth + 1) for item in self._items(number)]
            case "Map" | "StrMap":
                value = self._mapping(number, depth)
            case "DictAttrs":
                value = self.value(self._field(number, "__dict__"), depth + 1)
            case "relay.Constant":
                value = self._array(self._field(number, "data"))
            case _ if kind.endswith("Attrs"):
                value = self._attributes(number, depth)
            case _:
                value = OtherType(kind)
        return value

    def _mapping(self, number: object, depth: int) -> dict[Any, Any]:
        items, keys = self._items(number), self._node(number).get("keys")
        if isinstance(keys, list):
            pairs = zip(keys, items, strict=False)
            return {str(key): self.value(item, depth + 1) for key, item in pairs}
        # Keys that are no texts are nothing that a program needs: two of them may be one.
        return {
            str(self.value(key, depth + 1))[:100]: self.value(item, depth + 1)
            for key, item in zip(items[::2], items[1::2], strict=False)
        }

    def _attributes(self, number: object, depth: int) -> dict[str, Any]:
        owner = self._kind(number).rpartition(".")[2]
        return {
            name: self._attribute(owner, name, raw, depth)
            for name, raw in self._fields(number).items()
        }

    def _attribute(self, owner: str, name: str, raw: Any, depth: int) -> Any:
        text = str(raw)
        is_number = name in _PLAIN and owner not in _REFERENCES.get(name, ())
        if is_number or owner in _PLAIN_IN.get(name, ()) or not is_reference(text):
            return plain(text)
        return self.value(text, depth + 1)

    def _text(self, raw: Any) -> str:
        """A field that holds a text or, since TVM 0.6, the number of one."""
        text = str(raw)
        if is_reference(text) and self._kind(text) == "runtime.String":
            return represented(self._node(text))
        return text

    def metadata(self) -> Mapping[str, Any]:
        """Lists of values by type name: what `meta[TYPE][INDEX]` in Relay text refers to."""
        value = self.value(self._root)
        return value if isinstance(value, dict) else {}


def _refuse_other(document: object) -> None:
    """Refuse JSON that is no object graph of Relay's TVM.

    Raises:
        ModelUnreadableError: saying what it is, and what is needed.
    """
    needed = "save the Relay module with tvm.ir.save_json(mod), or with mod.astext()"
    fields = document if isinstance(document, dict) else {}
    if {"nodes", "arg_nodes", "heads"} <= fields.keys():
        raise ModelUnreadableError(
            "a graph-executor JSON, which names compiled kernels and not what they compute",
            mend=f"{needed}, before relay.build",
        )
    nodes = fields.get("nodes")
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        raise ModelUnreadableError("JSON, but no module that TVM saved", mend=needed)
    if "root_index" in fields or any(
        str(node.get("type_key", "")).startswith(("relax.", "ffi.")) for node in nodes
    ):
        raise ModelUnreadableError(
            "a module of TVM 0.20 or later, which is Relax and not Relay",
            mend="import the ONNX, TFLite or PyTorch model that it was made from",
        )


def is_reference(text: str) -> bool:
    """Does a field's value look like the number of a node?"""
    return text.isascii() and text.isdigit()


def plain(text: Any) -> Any:
    """A number where the text is one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError, OverflowError):
            continue
    return str(text)


def represented(node: Mapping[str, Any]) -> str:
    """The text that a node stands for, as any of TVM's releases wrote it; empty for none."""
    for key in ("repr_str", "global_key"):
        if key in node:
            return str(node[key])
    if "repr_b64" not in node:
        return ""
    try:
        raw = base64.b64decode(str(node["repr_b64"]), validate=True)
    except (ValueError, binascii.Error) as error:
        raise malformed("damaged: a text that is not base64") from error
    # TVM writes a mark and the length in 8 bytes before the text.
    return (raw[9:] if raw[:1] == b"S" else raw).decode("utf-8", "replace")
