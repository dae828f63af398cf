"""An ONNX graph made ready for the walk: opset, shapes, simplification, order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import onnx

# Below it, operators broadcast by attributes and take shapes as attributes.
OLDEST_OPSET = 7


def upgraded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The model in an opset that the converters know, and what was done."""
    from onnx import version_converter

    opset = max(
        (one.version for one in model.opset_import if one.domain in ("", "ai.onnx")),
        default=OLDEST_OPSET,
    )
    if opset >= OLDEST_OPSET:
        return model, []
    for target in (13, OLDEST_OPSET):
        try:
            converted = version_converter.convert_version(model, target)
        except Exception:  # it lacks adapters for many operators: then the file stays as it is
            continue
        return converted, [f"opset {opset} upgraded to {target}"]
    return model, [f"opset {opset} is older than {OLDEST_OPSET} and could not be upgraded"]


def simplified(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[onnx.ModelProto, str]:
    """Fold what fixed shapes make constant. onnxsim first, then onnxslim, then as it is."""
    import onnx

    def by_onnxsim() -> onnx.ModelProto:
        import onnxsim

        simple, _ = onnxsim.simplify(
            model, overwrite_input_shapes={name: list(shape) for name, shape in shapes.items()}
        )
        return cast("onnx.ModelProto", simple)

    def by_onnxslim() -> onnx.ModelProto:
        import onnxslim

        given = [f"{name}:{','.join(map(str, shape))}" for name, shape in shapes.items() if shape]
        return cast("onnx.ModelProto", onnxslim.slim(model, input_shapes=given or None))

    for tool, simplify in (("onnxsim", by_onnxsim), ("onnxslim", by_onnxslim)):
        try:
            simple = in_order(simplify())
            onnx.checker.check_model(simple)
        except Exception:  # both raise whatever their own parts raise, and either may be skipped
            continue
        if [one.name for one in simple.graph.output] == [one.name for one in model.graph.output]:
            return simple, f"simplified by {tool}"
    return in_order(model), "not simplified: onnxsim and onnxslim both failed on this graph"


def in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its nodes sorted: each after those that make what it takes.

    Nodes of a cycle stay where they are, at the end: the walk names the tensor that is missing.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    _sort(made.graph)
    return made


def _sort(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                _sort(below)
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waiting = []
    users: dict[int, list[int]] = {}
    for index, node in enumerate(graph.node):
        before = {maker[name] for name in _uses(node) if name in maker} - {index}
        waiting.append(len(before))
        for one in before:
            users.setdefault(one, []).append(index)
    import heapq

    ready = [index for index, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for user in users.get(index, ()):
            waiting[user] -= 1
            if waiting[user] == 0:
                heapq.heappush(ready, user)
    if order == list(range(len(order))) and len(order) == len(graph.node):
        return
    order += sorted(set(range(len(graph.node))) - set(order))
    nodes = [graph.node[index] for index in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _uses(node: onnx.NodeProto) -> set[str]:
    """Tensors that a node takes, those that graphs inside it take from outside included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _uses(inner)
            names |= {entry.name for entry in graph.output}
    return names
