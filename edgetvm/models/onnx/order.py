"""Nodes in an order in which each comes after those that make what it takes."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def sort(graph: onnx.GraphProto) -> None:
    """Sort the nodes of a graph and of all graphs in it, in place.

    Nodes of a cycle stay where they are, at the end: the walk names the tensor that is missing.
    """
    for node in graph.node:
        for attribute in node.attribute:
            for below in (attribute.g, *attribute.graphs):
                sort(below)
    order = _order(graph)
    if order == list(range(len(graph.node))):
        return
    nodes = [graph.node[index] for index in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _order(graph: onnx.GraphProto) -> list[int]:
    maker = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waiting = []
    users: dict[int, list[int]] = {}
    for index, node in enumerate(graph.node):
        before = {maker[name] for name in _uses(node) if name in maker} - {index}
        waiting.append(len(before))
        for one in before:
            users.setdefault(one, []).append(index)
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
    return order + sorted(set(range(len(graph.node))) - set(order))


def _uses(node: onnx.NodeProto) -> set[str]:
    """Tensors that a node takes, those that graphs inside it take from outside included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _uses(inner)
            names |= {entry.name for entry in graph.output}
    return names
