"""Relay files written by hand, and one way to run them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.models.reference import Source, reference_for

Array = NDArray[np.generic]
_CODES = {"i": 0, "u": 1, "f": 2, "b": 1}


def tensor_bytes(array: Array) -> bytes:
    """A tensor as TVM stores it."""
    bits = 1 if array.dtype == bool else array.dtype.itemsize * 8
    head = struct.pack(
        "<QQiiiBBH", 0xDD5E40F096B4A13F, 0, 1, 0, array.ndim, _CODES[array.dtype.kind], bits, 1
    )
    return (
        head
        + struct.pack(f"<{array.ndim}q", *array.shape)
        + struct.pack("<q", array.nbytes)
        + array.tobytes()
    )


def params_bytes(arrays: Mapping[str, Array]) -> bytes:
    """What `relay.save_param_dict` gives."""
    out = struct.pack("<QQQ", 0xF7E58D4F05049CB7, 0, len(arrays))
    for name in arrays:
        out += struct.pack("<Q", len(name.encode())) + name.encode()
    out += struct.pack("<Q", len(arrays))
    return out + b"".join(tensor_bytes(array) for array in arrays.values())


def metadata(constants: Sequence[Array]) -> str:
    """The end of a text that `meta[relay.Constant][N]` refers to."""
    import json

    nodes: list[dict[str, object]] = [
        {"type_key": ""},
        {"type_key": "Map", "keys": ["relay.Constant"], "data": [2]},
        {"type_key": "Array", "data": list(range(3, 3 + len(constants)))},
    ]
    nodes += [
        {"type_key": "relay.Constant", "attrs": {"data": str(number), "span": "0"}}
        for number in range(len(constants))
    ]
    encoded = [base64.b64encode(tensor_bytes(array)).decode() for array in constants]
    document = {"root": 1, "nodes": nodes, "b64ndarrays": encoded}
    return "\n#[metadata]\n" + json.dumps(document)


def type_of(array: Array) -> str:
    """Its Relay type."""
    shape = ", ".join(map(str, array.shape))
    return f"Tensor[({shape}), {array.dtype.name}]"


def write(
    folder: Path,
    body: str,
    inputs: Mapping[str, Array],
    params: Mapping[str, Array] | None = None,
    constants: Sequence[Array] = (),
    before: str = "",
) -> Path:
    """A model of one function, whose text is `body`."""
    arguments = {**inputs, **(params or {})}
    declared = ", ".join(f"%{name}: {type_of(array)}" for name, array in arguments.items())
    text = f'#[version = "0.0.5"]\n{before}def @main({declared}) {{\n{body}\n}}\n'
    path = folder / "model.relay"
    path.write_text(text + (metadata(constants) if constants else ""))
    if params is not None:
        (folder / "model.params").write_bytes(params_bytes(params))
    return path


def run(
    path: Path, inputs: Mapping[str, Array], options: ImportOptions | None = None
) -> list[Array]:
    """Import, compile without optimisation, run."""
    model: Model = import_model(path, options)
    given = {spec.name: inputs[spec.name] for spec in model.signature.inputs}
    outputs = reference_for(Source.of(model)).run(given)
    return [outputs[spec.name] for spec in model.signature.outputs]


def check(
    folder: Path,
    inputs: Mapping[str, Array],
    cases: Sequence[tuple[str, Array | Sequence[Array]]],
    params: Mapping[str, Array] | None = None,
    constants: Sequence[Array] = (),
    tolerance: float = 1e-5,
) -> None:
    """Each case is an expression over the inputs with the array, or arrays, that it should give."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"  %{number} = {text};" for number, (text, _) in enumerate(cases)]
    fields = ", ".join(f"%{number}" for number in range(len(cases)))
    body = "\n".join([*lines, f"  ({fields},)"])
    found = run(write(folder, body, inputs, params, constants), inputs)
    for text, expected in cases:
        wanted = expected if isinstance(expected, (list, tuple)) else [expected]
        for one in wanted:
            got, want = found.pop(0), np.asarray(one)
            assert got.shape == want.shape, (text, got.shape, want.shape)
            assert got.dtype == want.dtype, (text, got.dtype, want.dtype)
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=text)
    assert not found


_ATTRIBUTE_CLASSES = {
    **dict.fromkeys(("sum", "mean", "max", "min", "all", "any"), "Reduce"),
    **{"argmax": "ArgReduce", "argmin": "ArgReduce", "take": "Take", "cumsum": "Scanop"},
}


class JsonWriter:
    """`tvm.ir.save_json` for a program that `edgetvm.models.relay.text` read."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, object]] = [{"type_key": ""}]
        self.arrays: list[str] = []
        self._known: dict[int, int] = {}

    def _add(self, kind: str, **rest: object) -> int:
        self.nodes.append({"type_key": kind, **rest})
        return len(self.nodes) - 1

    def _with(self, kind: str, **fields: object) -> int:
        return self._add(kind, attrs={name: str(value) for name, value in fields.items()})

    def _list(self, items: Sequence[int]) -> int:
        return self._add("Array", data=list(items))

    def _text(self, text: str) -> int:
        return self._add("runtime.String", repr_str=text)

    def _attribute(self, name: str, value: object) -> object:
        from edgetvm.models.relay.objects import _PLAIN

        if isinstance(value, list):
            return self._list([int(str(self._attribute("", item))) for item in value])
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, int) and name not in _PLAIN:
            return self._with("IntImm", dtype="int32", value=value)
        return value

    def type(self, type_: object) -> int:
        from edgetvm.models.relay.ast import TensorType, TupleType

        if isinstance(type_, TensorType):
            sizes = [
                self._with("tir.Any") if size is None else self._attribute("", size)
                for size in type_.shape
            ]
            shape = self._list([int(str(size)) for size in sizes])
            return self._with("relay.TensorType", dtype=type_.dtype, shape=shape)
        if isinstance(type_, TupleType):
            return self._with("TupleType", fields=self._list([self.type(f) for f in type_.fields]))
        return 0 if type_ is None else self._with("FuncType")

    def expression(self, node: object) -> int:
        if id(node) not in self._known:
            self._known[id(node)] = self._made(node)
        return self._known[id(node)]

    def _made(self, node: object) -> int:
        from edgetvm.models.relay import ast

        writers: dict[type, Callable[[Any], int]] = {
            ast.Var: self._variable,
            ast.GlobalVar: lambda n: self._with("GlobalVar", name_hint=self._text(n.name)),
            ast.Constant: self._constant,
            ast.Tuple: lambda n: self._with("relay.Tuple", fields=self._all(n.fields)),
            ast.Projection: lambda n: self._with(
                "relay.TupleGetItem", tuple_value=self.expression(n.value), index=n.index
            ),
            ast.Block: self._lets,
            ast.If: lambda n: self._with(
                "relay.If",
                cond=self.expression(n.condition),
                true_branch=self.expression(n.then),
                false_branch=self.expression(n.otherwise),
            ),
            ast.Function: lambda n: self._with(
                "relay.Function", params=self._all(n.parameters), body=self.expression(n.body)
            ),
            ast.Call: self._call,
        }
        return writers[type(node)](node)

    def _all(self, nodes: Sequence[object]) -> int:
        return self._list([self.expression(one) for one in nodes])

    def _variable(self, node: Any) -> int:
        vid = self._with("relay.Id", name_hint=self._text(node.name))
        return self._with("relay.Var", vid=vid, type_annotation=self.type(node.type))

    def _constant(self, node: Any) -> int:
        self.arrays.append(base64.b64encode(tensor_bytes(node.array)).decode())
        return self._with("relay.Constant", data=len(self.arrays) - 1)

    def _lets(self, node: Any) -> int:
        below = self.expression(node.body)
        for variable, value in reversed(node.lets):
            var, val = self.expression(variable), self.expression(value)
            below = self._with("relay.Let", var=var, value=val, body=below)
        return below

    def _call(self, node: Any) -> int:
        args = self._all(node.arguments)
        given = {name: self._attribute(name, v) for name, v in node.attributes.items()}
        kind = _ATTRIBUTE_CLASSES.get(str(node.callee), "X")
        if "axis" in given and kind in ("Take", "Scanop"):
            given["axis"] = self._attribute("", node.attributes["axis"])
        attrs = self._with(f"relay.attrs.{kind}Attrs", **given) if given else 0
        if isinstance(node.callee, str):
            op = self._add("Op", repr_str=node.callee)
        else:
            op = self.expression(node.callee)
        return self._with("relay.Call", op=op, args=args, attrs=attrs, span=self._span(node))

    def _span(self, node: Any) -> int:
        if not node.place.name:
            return 0
        source = self._add("SourceName", repr_str=node.place.name)
        return self._with("Span", source_name=source, line=0, column=0)


def save_json(text: str) -> str:
    """The JSON form of a Relay text."""
    import json

    from edgetvm.models.relay.text import program_from

    writer = JsonWriter()
    items: list[int] = []
    for name, function in program_from(text).functions.items():
        items += [writer._with("GlobalVar", name_hint=writer._text(name))]
        items += [writer.expression(function)]
    functions = writer._add("Map", data=items)
    root = writer._with("IRModule", functions=functions)
    return json.dumps({"root": root, "nodes": writer.nodes, "b64ndarrays": writer.arrays})
