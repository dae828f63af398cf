"""TVM's JSON form of an object graph: `tvm.ir.save_json(mod)`, and the metadata of Relay text.

A file is a list of nodes that refer to each other by number. In a node's `attrs` all values are
strings, and only the class's C++ declaration says which of them are such numbers: `_PLAIN` and
`_NOT_PLAIN` hold what is needed of that.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.relay.ast import (
    Block,
    Call,
    Constant,
    Expr,
    Function,
    GlobalVar,
    If,
    OtherType,
    Program,
    Projection,
    TensorType,
    Tuple,
    TupleType,
    Type,
    Unsupported,
    Var,
    malformed,
    unwind,
)
from edgetvm.models.relay.params import tensor_from

# Fields of operators' attributes that hold a number itself, not the number of a node.
_PLAIN = frozenset(
    [
        "a_max",
        "a_min",
        "align_corners",
        "allowzero",
        "alpha",
        "axis",
        "batch_first",
        "beta",
        "bias",
        "block_size",
        "ceil_mode",
        "center",
        "count_include_pad",
        "cubic_alpha",
        "cubic_exclude",
        "deformable_groups",
        "depth",
        "dilation_value",
        "eps",
        "epsilon",
        "exclude",
        "extrapolation_value",
        "groups",
        "hop_length",
        "inverse",
        "is_ascend",
        "is_lshift_required",
        "is_rshift_required",
        "k1",
        "k2",
        "keepdims",
        "kind",
        "lhs_axis",
        "lhs_begin",
        "mask_value",
        "multiplier",
        "n_fft",
        "normalized",
        "num_groups",
        "num_newaxis",
        "onesided",
        "passthrough",
        "rate",
        "return_counts",
        "rhs_axis",
        "rhs_begin",
        "right",
        "sample_ratio",
        "scale",
        "scale_d",
        "scale_h",
        "scale_w",
        "select_last_index",
        "shift",
        "sign",
        "size",
        "sorted",
        "sparse_lhs",
        "spatial_scale",
        "transpose_a",
        "transpose_b",
        "unbiased",
        "upper",
        "win_length",
    ]
)
_NOT_PLAIN = frozenset(
    {("size", f"Resize{kind}Attrs") for kind in ("", "1D", "2D", "3D")}
    | {
        ("axis", f"{kind}Attrs")
        for kind in (
            *("Reduce", "ArgReduce", "Variance", "Squeeze", "L2Normalize", "Stack", "Repeat"),
            *("Reverse", "Take", "Gather", "Scatter", "ScatterAdd", "ScatterElements", "Scanop"),
            *("CumSum", "CumProd", "Cumsum"),
        )
    }
)
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
        nodes = document.get("nodes") if isinstance(document, dict) else None
        if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
            raise malformed("not a module that TVM saved as JSON")
        arrays = document.get("b64ndarrays", [])
        self._nodes: list[dict[str, Any]] = nodes
        self._encoded: list[Any] = arrays if isinstance(arrays, list) else []
        self._root = document.get("root")
        self._arrays: dict[int, NDArray[np.generic]] = {}
        self._values: dict[int, Any] = {}
        self._types: dict[int, Type | None] = {}
        self._expressions: dict[int, Expr] = {}
        self._begun: set[int] = set()

    # Nodes and their fields.

    def _node(self, number: object) -> dict[str, Any]:
        try:
            index = int(number)  # type: ignore[call-overload]
        except (TypeError, ValueError) as error:
            raise malformed(f"damaged: {number!s:.40} is no node's number") from error
        if not 0 <= index < len(self._nodes):
            raise malformed(f"damaged: there is no node {number!s:.40}")
        return self._nodes[index]

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
            index = int(number)  # type: ignore[call-overload]
            if index not in self._arrays:
                encoded = self._encoded[index] if index >= 0 else None
                self._arrays[index] = tensor_from(base64.b64decode(encoded, validate=True))
            return self._arrays[index]
        except (TypeError, ValueError, IndexError, binascii.Error) as error:
            raise malformed(f"damaged: tensor {number!s:.40} is not there or not base64") from error

    # Plain values.

    def value(self, number: object, depth: int = 0) -> Any:
        """A node as a plain value: number, text, list, dict, array or None."""
        node = self._node(number)
        index = int(number)  # type: ignore[call-overload]
        if index in self._values:
            return self._values[index]
        if depth > _DEEPEST:
            raise malformed("damaged: attributes are nested too deep, or in a circle")
        kind = self._kind(number)
        fields = self._fields(number)
        value: Any
        match kind:
            case "" | "tir.Any" | "tir.Var" | "tir.SizeVar" | "relay.Any":
                value = None
            case "IntImm" | "FloatImm" | "tir.StringImm" | "StringImm":
                value = _plain(fields.get("value", "0"))
                if kind == "IntImm" and fields.get("dtype") == "bool":
                    value = bool(value)
            case "runtime.String" | "runtime.BoxInt" | "runtime.BoxFloat" | "runtime.BoxBool":
                value = _represented(node)
                value = value if kind == "runtime.String" else _plain(value)
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
        self._values[index] = value
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
        if not (text.isascii() and text.isdigit()):
            return _plain(text)
        if name in _PLAIN and (name, owner) not in _NOT_PLAIN:
            return _plain(text)
        return self.value(text, depth + 1)

    def _text(self, raw: Any) -> str:
        """A field that holds a text or, since TVM 0.6, the number of one."""
        text = str(raw)
        if text.isascii() and text.isdigit() and self._kind(text) == "runtime.String":
            return _represented(self._node(text))
        return text

    # Types.

    def type(self, number: object, depth: int = 0) -> Type | None:
        """A node as a type; None where the program does not say it."""
        self._node(number)
        index = int(number)  # type: ignore[call-overload]
        if index not in self._types:
            if depth > _DEEPEST:
                raise malformed("damaged: types are nested too deep, or in a circle")
            self._types[index] = self._type(number, depth)
        return self._types[index]

    def _type(self, number: object, depth: int) -> Type | None:
        kind = self._kind(number)
        if kind in ("", "IncompleteType"):
            return None
        if kind == "relay.TensorType":
            sizes = [self.value(item) for item in self._items(self._field(number, "shape"))]
            shape = tuple(size if isinstance(size, int) else None for size in sizes)
            return TensorType(shape, str(self._field(number, "dtype")))
        if kind == "TupleType":
            items = self._items(self._field(number, "fields"))
            fields = [self.type(item, depth + 1) for item in items]
            return TupleType(tuple(field or OtherType("") for field in fields))
        return OtherType(kind)

    # Expressions.

    def expression(self, number: object) -> Expr:
        """A node as an expression."""
        expression: Expr = unwind(self._expression(number))
        return expression

    def _expression(self, number: object) -> Generator[Any, Any, Expr]:
        self._node(number)
        index = int(number)  # type: ignore[call-overload]
        if index in self._expressions:
            return self._expressions[index]
        if index in self._begun:
            raise malformed("damaged: an expression contains itself")
        self._begun.add(index)
        made: Expr = yield self._made(number)
        self._expressions[index] = made
        return made

    def _many(self, number: object) -> Generator[Any, Any, tuple[Expr, ...]]:
        made = []
        for item in self._items(number):
            made.append((yield self._expression(item)))
        return tuple(made)

    def _made(self, number: object) -> Generator[Any, Any, Expr]:
        kind = self._kind(number)
        match kind:
            case "relay.Var":
                return self._variable(number)
            case "GlobalVar":
                return GlobalVar(self._text(self._field(number, "name_hint")))
            case "relay.Constant":
                return Constant(self._array(self._field(number, "data")))
            case "relay.Tuple":
                return Tuple((yield self._many(self._field(number, "fields"))))
            case "relay.TupleGetItem":
                value = yield self._expression(self._field(number, "tuple_value"))
                return Projection(value, _integer(self._field(number, "index")))
            case "relay.Call":
                return (yield self._call(number))
            case "relay.Let":
                variable = yield self._expression(self._field(number, "var"))
                value = yield self._expression(self._field(number, "value"))
                body = yield self._expression(self._field(number, "body"))
                if not isinstance(variable, Var):
                    raise malformed("damaged: a let of something that is no variable")
                return Block(((variable, value),), body)
            case "relay.If":
                condition = yield self._expression(self._field(number, "cond"))
                then = yield self._expression(self._field(number, "true_branch"))
                otherwise = yield self._expression(self._field(number, "false_branch"))
                return If(condition, then, otherwise)
            case "relay.Function":
                parameters = yield self._many(self._field(number, "params"))
                body = yield self._expression(self._field(number, "body"))
                if not all(isinstance(parameter, Var) for parameter in parameters):
                    raise malformed("damaged: a function's parameter is no variable")
                return Function(parameters, body)
            case _:
                return Unsupported(kind.removeprefix("relay.") or "a missing expression")

    def _variable(self, number: object) -> Var:
        fields = self._fields(number)
        holder = self._fields(fields["vid"]) if "vid" in fields else fields
        annotation = fields.get("type_annotation", "0")
        return Var(self._text(holder.get("name_hint", "")), self.type(annotation))

    def _call(self, number: object) -> Generator[Any, Any, Expr]:
        callee = self._field(number, "op")
        arguments = yield self._many(self._field(number, "args"))
        given = self.value(self._fields(number).get("attrs", "0"))
        attributes: Mapping[str, Any] = given if isinstance(given, dict) else {}
        if self._kind(callee) == "Op":
            return Call(_represented(self._node(callee)), arguments, attributes)
        function = yield self._expression(callee)
        return Call(function, arguments, attributes)

    def program(self) -> Program:
        """The module, or the one function, that the document holds."""
        kind = self._kind(self._root)
        if kind.startswith("relax"):
            raise malformed("a Relax module, not a Relay one")
        if kind != "IRModule":
            function = self.expression(self._root)
            if not isinstance(function, Function):
                raise malformed(f"not a Relay module: its root is {kind or 'nothing'!s:.40}")
            return Program({"main": function})
        items = self._items(self._field(self._root, "functions"))
        functions: dict[str, Function] = {}
        for key, item in zip(items[::2], items[1::2], strict=False):
            name, made = self.expression(key), self.expression(item)
            if isinstance(name, GlobalVar) and isinstance(made, Function):
                functions[name.name] = made
        return Program(functions)

    def metadata(self) -> Mapping[str, Any]:
        """Lists of values by type name: what `meta[TYPE][INDEX]` in Relay text refers to."""
        value = self.value(self._root)
        return value if isinstance(value, dict) else {}


def _integer(text: Any) -> int:
    value = _plain(text)
    if not isinstance(value, int):
        raise malformed(f"damaged: {text!s:.40} where an integer should be")
    return value


def _plain(text: Any) -> Any:
    """A number where the text is one, else the text."""
    try:
        return int(text)
    except (TypeError, ValueError):
        pass
    try:
        return float(text)
    except (TypeError, ValueError):
        return str(text)


def _represented(node: Mapping[str, Any]) -> str:
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


def program_from(text: str) -> Program:
    """The program of a file of `tvm.ir.save_json`.

    Raises:
        ModelUnreadableError: not such a file, cut off or damaged.
    """
    try:
        return ObjectGraph(text).program()
    except RecursionError as error:
        raise ModelUnreadableError("nested too deep", mend="save the model again") from error
