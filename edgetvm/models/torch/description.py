"""The JSON description of an exported program: what it takes and gives, and its static form.

The static form is what PyTorch gets to read. Every size is a number in it, every tensor is on the
CPU, inputs and outputs are flat, and no text is left in it that PyTorch would evaluate or import.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models.torch.sizes import Number, evaluate

Json = dict[str, Any]

# What a node may call: PyTorch takes each part of the name for an attribute and would find any.
_KNOWN_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|quantized_decomposed)\.(?!from_file|_print)\w+(\.\w+)?"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_"
    r"|not_|xor|lshift|rshift|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt|pow)"
    r"|torch\.sym_\w+|torch\._sym_\w+"
)
# These only say what sizes must be.
_ASSERTIONS = re.compile(
    r"torch\.ops\.aten\.(_assert_scalar|_assert_tensor_metadata|_assert_async"
    r"|sym_constrain_range(_for_size)?)(\.\w+)?"
)
# The key under which PyTorch carries a node's label through its own rewriting.
LABEL = "label"
_SYMBOLS = ("sym_int", "sym_bool", "sym_float")
_LEAF: Json = {"type": None, "context": None, "children_spec": []}


@dataclass(frozen=True)
class Description:
    """A program, as far as it can be understood without PyTorch.

    Attributes:
        document: the whole of it.
        axes: of each input tensor, by name: a size, or the text of an expression.
        examples: the sizes that open axes had when the module was exported, by expression.
        limits: the least and the largest size of a symbol, None where there is none.
        outputs: names of the outputs.
        operators: how often each operator occurs.
        unknown: names of the nodes that call something else than an operator, by what they call.
    """

    document: Json
    axes: Mapping[str, tuple[int | str, ...]]
    examples: Mapping[str, int]
    limits: Mapping[str, tuple[int | None, int | None]]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    unknown: Mapping[str, list[str]]

    def static(self, symbols: Mapping[str, int]) -> Json:
        """The program with a size for each symbol.

        Raises:
            UnknownSizeError: a size depends on something else.
            ModelUnreadableError: it holds Python objects.
        """
        return _static_document(self.document, symbols)


def describe(document: Json) -> Description:
    """Read a description.

    Raises:
        ModelUnreadableError: a part of it has no counterpart here.
        KeyError, TypeError, ValueError and others: it is damaged.
    """
    graph = document["graph_module"]["graph"]
    signature = document["graph_module"]["signature"]
    axes: dict[str, tuple[int | str, ...]] = {}
    examples: dict[str, int] = {}
    for given, spec in zip(graph["inputs"], signature["input_specs"], strict=True):
        kind, details = _single(spec)
        if kind in ("parameter", "buffer", "tensor_constant") or _is_constant(kind, given):
            continue
        if kind != "user_input" or _single(given)[0] != "as_tensor":
            raise _no_tensor("input", details, given)
        name = given["as_tensor"]["name"]
        axes[name] = tuple(_axis(one, examples) for one in graph["tensor_values"][name]["sizes"])
    nodes = list(_nodes(graph))
    labels = _labels(nodes)
    unknown: dict[str, list[str]] = {}
    for node in nodes:
        if not _KNOWN_TARGET.fullmatch(node["target"]):
            target = str(node["target"]).removeprefix("torch.ops.")
            unknown.setdefault(target, []).append(labels[_name(node)])
    return Description(
        document=document,
        axes=axes,
        examples=examples,
        limits={
            name: (limit["min_val"], limit["max_val"])
            for name, limit in document["range_constraints"].items()
        },
        outputs=tuple(_output_names(document)),
        operators=dict(
            Counter(
                node["target"].removeprefix("torch.ops.")
                for node in nodes
                if not _ASSERTIONS.fullmatch(node["target"]) and not _sizes_only(node)
            )
        ),
        unknown=unknown,
    )


def _single(union: Json) -> tuple[str, Any]:
    """The one field of a union that is set."""
    ((kind, value),) = union.items()
    return kind, value


def _is_constant(kind: str, given: Json) -> bool:
    plain = ("as_none", "as_int", "as_float", "as_bool", "as_string")
    return kind == "constant_input" or (kind == "user_input" and _single(given)[0] in plain)


def _no_tensor(what: str, details: Any, given: Json) -> ModelUnreadableError:
    kind, value = _single(given)
    name = value.get("name") or value.get("as_name") if isinstance(value, dict) else None
    return ModelUnreadableError(
        f"the {what} {name or details!r:.60} is no tensor ({kind.removeprefix('as_')})",
        mend="export a module whose forward() takes and gives tensors",
    )


def _axis(size: Json, examples: dict[str, int]) -> int | str:
    if "as_int" in size:
        return int(size["as_int"])
    text = str(size["as_expr"]["expr_str"])
    hint = size["as_expr"].get("hint") or {}
    if type(hint.get("as_int")) is int:
        examples[text] = hint["as_int"]
    return text


def _nodes(graph: Json) -> Iterator[Json]:
    """The nodes of a graph and of the graphs inside it."""
    for node in graph["nodes"]:
        yield node
        for entry in node["inputs"]:
            if "as_graph" in entry["arg"]:
                yield from _nodes(entry["arg"]["as_graph"]["graph"])


def _name(node: Json) -> str:
    outputs = [
        value.get("name", "")
        for one in node["outputs"]
        for value in one.values()
        if isinstance(value, dict)
    ]
    name = node.get("name") or (outputs[0] if outputs else "") or node["target"]
    return re.sub(r"[^\w.]+", "_", str(name))


def _path(node: Json) -> str:
    """Where a node's module lies in the whole: `layers.0.conv1`."""
    stack = str(node["metadata"].get("nn_module_stack", "")).split(";")
    parts = stack[-1].split(",")
    path = parts[1] if len(parts) == 3 else ""
    path = path.removeprefix("L['self'].").removeprefix("L__self__.")
    return "" if path.startswith("_empty_nn") else re.sub(r"[^\w.]+", "_", path)


def _labels(nodes: Sequence[Json]) -> dict[str, str]:
    """What each node is called in messages: its module's path, where it is the only one of that."""
    paths = {_name(node): _path(node) for node in nodes}
    counts = Counter(paths.values())
    return {
        name: (path if counts[path] == 1 else f"{path}.{name}") if path else name
        for name, path in paths.items()
    }


def _sizes_only(node: Json) -> bool:
    return bool(node["outputs"]) and all(
        _single(one)[0].startswith("as_sym_") for one in node["outputs"]
    )


def _output_names(document: Json) -> list[str]:
    """A dictionary's keys or a named tuple's fields where there are some, else nodes' names."""
    graph, signature = (document["graph_module"][key] for key in ("graph", "signature"))
    paths = _leaf_paths(document)
    user = [
        given
        for given, spec in zip(graph["outputs"], signature["output_specs"], strict=True)
        if _single(spec)[0] in ("user_output", "loss_output")
    ]
    if len(paths) != len(user):
        paths = [""] * len(user)
    names: list[str] = []
    for given, path in zip(user, paths, strict=True):
        kind, value = _single(given)
        if kind in ("as_none", "as_int", "as_float", "as_bool", "as_string"):
            continue
        if kind != "as_tensor":
            raise _no_tensor("output", path, given)
        name, number = path or str(value["name"]), 1
        while name in names:
            name, number = f"{path or value['name']}_{number}", number + 1
        names.append(name)
    return names


def _leaf_paths(document: Json) -> list[str]:
    """Where each output lies in what the module returns; empty where only numbers would say."""
    module = document["graph_module"]
    root = next((one for one in module["module_call_graph"] if one["fqn"] == ""), None)
    if root is None or not root.get("signature"):
        return []
    _, tree = json.loads(root["signature"]["out_spec"])
    fields = module.get("treespec_namedtuple_fields") or {}
    return [
        ".".join(parts) if any(not part.isdigit() for part in parts) else ""
        for parts in _leaves(tree, fields)
    ]


def _leaves(tree: Json, fields: Mapping[str, Json]) -> Iterator[tuple[str, ...]]:
    below = tree["children_spec"]
    if tree["type"] is None:
        yield ()
    keys: Sequence[object] = range(len(below))
    if tree["type"] in ("builtins.dict", "collections.OrderedDict"):
        keys = json.loads(tree["context"])
    elif tree["context"] in fields:
        keys = fields[tree["context"]]["fields"]
    for key, child in zip(keys, below, strict=True):
        for rest in _leaves(child, fields):
            yield (str(key), *rest)


def _static_document(document: Json, symbols: Mapping[str, int]) -> Json:
    module = document["graph_module"]
    graph, signature = dict(module["graph"]), module["signature"]
    inputs = [
        (given, spec)
        for given, spec in zip(graph["inputs"], signature["input_specs"], strict=True)
        if not _is_constant(_single(spec)[0], given)
    ]
    outputs = [
        (given, spec)
        for given, spec in zip(graph["outputs"], signature["output_specs"], strict=True)
        if _single(given)[0] == "as_tensor"
    ]
    graph["inputs"], graph["outputs"] = ([one for one, _ in pairs] for pairs in (inputs, outputs))
    of_user = sum("user_input" in spec for _, spec in inputs)
    by_user = sum(not spec.keys().isdisjoint(("user_output", "loss_output")) for _, spec in outputs)
    return {
        "graph_module": {
            "graph": _static_graph(graph, symbols),
            "signature": _Rewriter(symbols, {}).rewrite(
                {
                    "input_specs": [spec for _, spec in inputs],
                    "output_specs": [spec for _, spec in outputs],
                }
            ),
            "module_call_graph": [{"fqn": "", "signature": _flat_call(of_user, by_user)}],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "opset_version": {},
        "range_constraints": {},
        "schema_version": document["schema_version"],
        "verifiers": ["TRAINING"],
        "torch_version": str(document.get("torch_version", "")),
        "guards_code": [],
    }


def _flat_call(inputs: int, outputs: int) -> Json:
    def tree(kind: str, context: str, below: list[Json]) -> Json:
        return {"type": kind, "context": context, "children_spec": below}

    arguments = tree("builtins.tuple", "null", [_LEAF] * inputs)
    call = tree("builtins.tuple", "null", [arguments, tree("builtins.dict", "[]", [])])
    return {
        "inputs": [],
        "outputs": [],
        "in_spec": json.dumps([1, call]),
        "out_spec": json.dumps([1, tree("builtins.tuple", "null", [_LEAF] * outputs)]),
        "forward_arg_names": None,
    }


def _static_graph(graph: Json, symbols: Mapping[str, int]) -> Json:
    values: dict[str, Number] = {}
    for kind in _SYMBOLS:
        for name, value in graph.get(f"{kind}_values", {}).items():
            what, found = _single(value)
            values[name] = evaluate(found["expr_str"], symbols) if what == "as_expr" else found
    rewriter = _Rewriter(symbols, values)
    labels = _labels(graph["nodes"])
    nodes = []
    for node in graph["nodes"]:
        if _ASSERTIONS.fullmatch(node["target"]) or _sizes_only(node):
            continue
        if not _KNOWN_TARGET.fullmatch(node["target"]):
            raise ValueError(f"a node calls {node['target']!r:.80}")
        nodes.append(
            {
                "target": node["target"],
                "inputs": rewriter.rewrite(node["inputs"]),
                "outputs": rewriter.rewrite(node["outputs"]),
                "metadata": {"nn_module_stack": f"{LABEL},{labels[_name(node)]},"},
                "is_hop_single_tensor_return": node.get("is_hop_single_tensor_return"),
                "name": node.get("name"),
            }
        )
    if graph.get("custom_obj_values"):
        raise _python_object(next(iter(graph["custom_obj_values"])))
    return {
        "inputs": rewriter.rewrite(graph["inputs"]),
        "outputs": rewriter.rewrite(graph["outputs"]),
        "nodes": nodes,
        "tensor_values": rewriter.rewrite(graph["tensor_values"]),
        "sym_int_values": {},
        "sym_bool_values": {},
        "sym_float_values": {},
        "custom_obj_values": {},
        "is_single_tensor_return": graph.get("is_single_tensor_return", False),
    }


def _python_object(name: str) -> ModelUnreadableError:
    return ModelUnreadableError(
        f"{name!r:.80} in it is a Python object, which is not unpickled",
        mend="export a module of plain tensors",
    )


@dataclass(frozen=True)
class _Rewriter:
    """Puts numbers where symbols were, and the CPU where another device was."""

    symbols: Mapping[str, int]
    values: Mapping[str, Number]

    def rewrite(self, value: Any) -> Any:
        """The static form of any part."""
        if isinstance(value, list):
            return [self.rewrite(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            return self._union(*_single(value))
        return {name: self._field(name, one) for name, one in value.items()}

    def _field(self, name: str, value: Any) -> Any:
        if name == "device" and isinstance(value, dict):
            return {"type": "cpu", "index": None}
        return self.rewrite(value)

    def _union(self, kind: str, value: Any) -> Json:
        match kind:
            case "as_expr":
                return _number(evaluate(value["expr_str"], self.symbols))
            case "as_sym_int" | "as_sym_bool" | "as_sym_float":
                return _number(self._argument(value))
            case "as_sym_ints" | "as_sym_bools" | "as_sym_floats":
                plain = kind.replace("sym_", "")
                return {plain: [self._argument(one) for one in value]}
            case "as_device":
                return {kind: {"type": "cpu", "index": None}}
            case "as_custom_obj" | "custom_obj" | "token":
                raise _python_object(str(value.get("name", kind)))
            case "as_operator":
                if not _KNOWN_TARGET.fullmatch(value):
                    raise ValueError(f"a node calls {value!r:.80}")
            case "as_graph":
                graph = _static_graph(value["graph"], self.symbols)
                return {kind: {"name": value["name"], "graph": graph}}
        return {kind: self._field(kind, value)}

    def _argument(self, value: Json) -> Number:
        kind, found = _single(value)
        return self.values[found] if kind == "as_name" else found


def _number(value: Number) -> Json:
    kind = {bool: "as_bool", float: "as_float"}.get(type(value), "as_int")
    return {kind: value}
