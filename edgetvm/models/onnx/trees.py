"""Tree ensembles (ai.onnx.ml): one kernel walks every tree for every row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node
from edgetvm.models.onnx.scores import labelled, picked, transformed

Array = NDArray[Any]

_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")

_MOST_WEIGHTS = 1 << 24
_DEEPEST = 4096
_LEAF = 7
_EQUAL, _MEMBER = 4, 6
_MODES = {
    "BRANCH_LEQ": 0,
    "BRANCH_LT": 1,
    "BRANCH_GTE": 2,
    "BRANCH_GT": 3,
    "BRANCH_EQ": 4,
    "BRANCH_NEQ": 5,
    "LEAF": _LEAF,
}


@dataclass(frozen=True)
class _Trees:
    """All nodes of all trees in one numbering; a leaf is its own child.

    Attributes:
        roots: first node of each tree.
        mode, feature, value: how a node decides.
        yes, no: where it leads.
        nan: whether a missing value leads to `yes`.
        weights: `[nodes, targets]`, what a leaf adds.
        depth: steps that lead from any root to a leaf.
    """

    roots: Array
    mode: Array
    feature: Array
    value: Array
    yes: Array
    no: Array
    nan: Array
    weights: Array
    depth: int

    def __post_init__(self) -> None:
        """Refuse what would lead out of the tables: the kernel looks at nothing."""
        count = len(self.mode)
        for table in (self.feature, self.value, self.yes, self.no, self.nan, self.weights):
            if len(table) != count:
                raise ValueError(f"{len(table)} numbers for {count} nodes")
        for table in (self.roots, self.yes, self.no):
            if table.size and not 0 <= table.min() <= table.max() < count:
                raise ValueError(f"a branch leads to none of the {count} nodes")
        if (self.feature < 0).any():
            raise ValueError("it asks for a feature before the first")


def _floats(node: Node, name: str) -> Array:
    """Numbers of an attribute, or of the tensor of the same name for float64."""
    from onnx import numpy_helper

    if f"{name}_as_tensor" in node.attributes:
        return numpy_helper.to_array(node.attributes[f"{name}_as_tensor"])
    return np.asarray(node.attributes.get(name) or [], np.float32)


def _read(node: Node, kind: str, targets: int) -> _Trees:
    """The attributes of TreeEnsembleRegressor (`target`) or TreeEnsembleClassifier (`class`)."""
    given = node.attributes
    keys = list(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))
    index = {key: place for place, key in enumerate(keys)}
    count = len(keys)
    mode = np.array([_MODES[name] for name in given["nodes_modes"]], np.int32)
    trees = [tree for tree, _ in keys]
    own = np.arange(count, dtype=np.int32)
    sides = [
        np.array(
            [
                place if mode[place] == _LEAF else index[(tree, child)]
                for place, (tree, child) in enumerate(zip(trees, given[name], strict=True))
            ],
            np.int32,
        )
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    ]
    if count * targets > _MOST_WEIGHTS:
        raise node.refusal(f"{count} nodes for {targets} targets")
    values = _floats(node, f"{kind}_weights")
    weights = np.zeros((count, targets), values.dtype)
    places = zip(
        given[f"{kind}_treeids"], given[f"{kind}_nodeids"], given[f"{kind}_ids"], strict=True
    )
    for (tree, child, target), weight in zip(places, values, strict=True):
        weights[index[(tree, child)], target] += weight
    children = {int(one) for side in sides for one in side[mode != _LEAF]}
    return _Trees(
        roots=np.array([place for place in own if int(place) not in children], np.int32),
        mode=mode,
        feature=np.asarray(given["nodes_featureids"], np.int32),
        value=_floats(node, "nodes_values"),
        yes=sides[0],
        no=sides[1],
        nan=np.asarray(given.get("nodes_missing_value_tracks_true") or [0] * count, np.int32),
        weights=weights,
        depth=_depth(node, sides[0], sides[1], own, mode),
    )


def _depth(node: Node, yes: Array, no: Array, own: Array, mode: Array) -> int:
    """Steps until every node has led to a leaf."""
    reached = own[mode != _LEAF]
    depth = 0
    while reached.size:
        depth += 1
        if depth > _DEEPEST:
            raise node.refusal(f"its trees have a cycle, or are deeper than {_DEEPEST}")
        reached = np.unique(np.concatenate([yes[reached], no[reached]]))
        reached = reached[mode[reached] != _LEAF]
    return depth


def _sums(node: Node, trees: _Trees) -> Any:
    """`[rows, targets]`: what the leaves that each row reaches give together."""
    emit = node.emit
    data = node.inputs[0]
    if rank_of(data) == 1:
        data = emit.unsqueeze(data, 0)
    if int(trees.feature.max(initial=0)) >= shape_of(data)[1]:
        raise node.refusal(f"it asks for more features than the {shape_of(data)[1]} that there are")
    # Thresholds are float32 where the attributes are; data that are finer are compared as they are.
    dtype = "float64" if "float64" in (dtype_of(data), str(trees.value.dtype)) else "float32"
    data = emit.cast(data, dtype)
    given = node.attributes.get("aggregate_function", "SUM")
    aggregate = given if isinstance(given, str) else _AGGREGATES[given]
    if aggregate not in _AGGREGATES:
        raise node.refusal(f"it aggregates by {aggregate!r}")
    tables = [trees.roots, trees.mode, trees.feature, trees.value.astype(dtype)]
    tables += [trees.yes, trees.no, trees.nan, trees.weights.astype(dtype)]
    return emit.te(
        lambda *tensors: _kernel(trees, aggregate, dtype, *tensors),
        data,
        *(emit.const(table) for table in tables),
    )


def _kernel(trees: _Trees, aggregate: str, dtype: str, data: Any, *tables: Any) -> Any:
    from tvm import te, tirx

    shape = (data.shape[0], trees.weights.shape[1])
    return te.extern(
        shape,
        [data, *tables],
        lambda inputs, outputs: _body(trees, aggregate, dtype, inputs, outputs[0]),
        dtype=dtype,
        out_buffers=[tirx.decl_buffer(shape, dtype, "sums", layout=None)],
        name="trees",
    )


def _body(trees: _Trees, aggregate: str, dtype: str, inputs: Any, output: Any) -> Any:
    from tvm import tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.script.ir_builder import tirx as T

    rows, targets = output.shape
    count = len(trees.roots)
    begin = {"MIN": np.inf, "MAX": -np.inf}.get(aggregate, 0.0)
    join = {"MIN": tirx.min, "MAX": tirx.max}.get(aggregate, lambda a, b: a + b)
    with IRBuilder() as builder, T.seq_scope():
        data, roots, mode, feature, value, yes, no, nan, weights = map(T.buffer_proxy, inputs)
        sums = T.buffer_proxy(output)
        with T.serial(0, rows) as row:
            with T.serial(0, targets) as target:
                sums[row, target] = tirx.const(begin, dtype)
            with T.serial(0, count) as tree:
                place = T.buffer_proxy(T.alloc_buffer([1], "int32", scope="local"))
                place[0] = roots[tree]
                with T.While(mode[place[0]] != _LEAF):
                    at = place[0]
                    x, limit, how = data[row, feature[at]], value[at], mode[at]
                    tests = (x < limit, x >= limit, x > limit, x.equal(limit), x != limit)
                    holds = x <= limit
                    for code, test in enumerate(tests, 1):
                        holds = tirx.Select(how.equal(code), test, holds)
                    holds = tirx.Select(tirx.isnan(x), nan[at] != 0, holds)
                    place[0] = tirx.Select(holds, yes[at], no[at])
                with T.serial(0, targets) as target:
                    sums[row, target] = join(sums[row, target], weights[place[0], target])
            if aggregate == "AVERAGE":
                with T.serial(0, targets) as target:
                    sums[row, target] = sums[row, target] / tirx.const(count, dtype)
    return builder.get()


def _regressor(node: Node) -> Any:
    targets = int(node.attributes.get("n_targets", 1))
    sums = node.emit.cast(_sums(node, _read(node, "target", targets)), "float32")
    base = _floats(node, "base_values")
    if base.size:
        sums = node.emit.add(sums, node.emit.const(base.astype(np.float32)))
    return transformed(node, sums)


def _classifier(node: Node) -> list[Any]:
    emit = node.emit
    labels = labelled(node)
    trees = _read(node, "class", len(labels))
    used = set(node.attributes["class_ids"])
    sums = emit.cast(_sums(node, trees), "float32")
    base = _floats(node, "base_values").astype(np.float32)
    if len(labels) == 2 and len(used) == 1:
        # Two classes and one score, which is that of the second whatever its number.
        (scored,) = used
        column = emit.slice(sums, 1, scored, scored + 1)
        if base.size:
            column = emit.add(column, emit.const(base[-1:]))
        positive = bool((_floats(node, "class_weights") >= 0).all())
        half = emit.const(np.float32(0.5 if positive else 0.0))
        chosen = emit.cast(emit.less(half, emit.squeeze(column, 1)), "int64")
        if scored:
            return [picked(node, labels, chosen), transformed(node, sums)]
        if positive:
            other = emit.subtract(emit.const(np.float32(1)), column)
        else:
            other = emit.unary("negative", column)
        scores = emit.concat([other, column], 1)
        # As ONNX Runtime does: probabilities stay, and of margins only the logistic is taken.
        if not positive and node.attributes.get("post_transform") == "LOGISTIC":
            scores = emit.unary("sigmoid", scores)
        return [picked(node, labels, chosen), scores]
    if base.size:
        sums = emit.add(sums, emit.const(base))
    best = node.apply("ArgMax", sums, axis=1, keepdims=0)
    return [picked(node, labels, best), transformed(node, sums)]


def _ensemble(node: Node) -> Any:
    """TreeEnsemble, of ai.onnx.ml 5, whose nodes and leaves are numbered apart."""
    from onnx import numpy_helper

    given = node.attributes
    mode = numpy_helper.to_array(given["nodes_modes"]).astype(np.int32)
    value = numpy_helper.to_array(given["nodes_splits"])
    leaves = numpy_helper.to_array(given["leaf_weights"])
    count, most = len(mode), int(given.get("n_targets", 1))
    missing = given.get("nodes_missing_value_tracks_true") or [0] * count
    sides = [
        [child + count if leaf else child for child, leaf in zip(ids, flags, strict=True)]
        for ids, flags in (
            (given["nodes_truenodeids"], given["nodes_trueleafs"]),
            (given["nodes_falsenodeids"], given["nodes_falseleafs"]),
        )
    ]
    table = [
        [int(m), int(f), v, y, n, int(nan)]
        for m, f, v, y, n, nan in zip(
            mode, given["nodes_featureids"], value, *sides, missing, strict=True
        )
    ]
    table += [[_LEAF, 0, 0.0, count + k, count + k, 0] for k in range(len(leaves))]
    _expand_members(node, table, mode)
    if len(table) * most > _MOST_WEIGHTS:
        raise node.refusal(f"{len(table)} nodes for {most} targets")
    weights = np.zeros((len(table), most), leaves.dtype)
    weights[count + np.arange(len(leaves)), given["leaf_targetids"]] = leaves
    columns = list(zip(*table, strict=True))
    modes, features, yes, no, nan = (np.array(columns[k], np.int32) for k in (0, 1, 3, 4, 5))
    trees = _Trees(
        roots=np.asarray(given["tree_roots"], np.int32),
        mode=modes,
        feature=features,
        value=np.array(columns[2], value.dtype),
        yes=yes,
        no=no,
        nan=nan,
        weights=weights,
        depth=_depth(node, yes, no, np.arange(len(table), dtype=np.int32), modes),
    )
    sums = _sums(node, trees)
    return transformed(node, node.emit.cast(sums, dtype_of(node.inputs[0])))


def _expand_members(node: Node, table: list[list[Any]], mode: Array) -> None:
    """A test for membership as a chain of tests for equality, one for each member."""
    from onnx import numpy_helper

    if _MEMBER not in mode:
        return
    values = numpy_helper.to_array(node.attributes["membership_values"])
    sets = np.split(values, np.flatnonzero(np.isnan(values)) + 1)
    for place, members in zip(np.flatnonzero(mode == _MEMBER), sets, strict=False):
        at, (_, feature, _, yes, no, nan) = int(place), table[place]
        for member in members[~np.isnan(members)]:
            table.append([_EQUAL, feature, np.nan, yes, no, nan])
            table[at] = [_EQUAL, feature, member, yes, len(table) - 1, nan]
            at = len(table) - 1
        table[at] = [_EQUAL, feature, np.nan, yes, no, nan]


TREES: dict[str, Converter] = {
    "ai.onnx.ml.TreeEnsemble": _ensemble,
    "ai.onnx.ml.TreeEnsembleRegressor": _regressor,
    "ai.onnx.ml.TreeEnsembleClassifier": _classifier,
}
