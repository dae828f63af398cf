"""If, Loop and Scan: decided by constants, or when the model runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_agreement import agree, by_onnxruntime, compiled, make

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import ImportOptions, import_model

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def tensor(
    name: str, shape: list[int] | None, dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def branch(operator: str, name: str) -> onnx.GraphProto:
    """One operator of `x` (from outside) and a constant of its own."""
    two = numpy_helper.from_array(np.float32(2), f"{name}_two")
    node = helper.make_node(operator, ["x", f"{name}_two"], [name])
    return helper.make_graph([node], name, [], [tensor(name, [2, 3])], [two])


def if_node() -> onnx.NodeProto:
    return helper.make_node(
        "If", ["c"], ["y"], "switch", then_branch=branch("Add", "a"), else_branch=branch("Mul", "b")
    )


@pytest.mark.parametrize("value", [True, False])
def test_if_when_the_model_runs(tmp_path: Path, value: bool) -> None:
    inputs = {"x": X, "c": np.array(value)}
    agree(make(tmp_path / "m.onnx", [if_node()], inputs, ["y"]), inputs)


@pytest.mark.parametrize("value", [True, False])
def test_if_of_a_bound_input_keeps_one_branch(tmp_path: Path, value: bool) -> None:
    inputs = {"x": X, "c": np.array(value)}
    path = make(tmp_path / "m.onnx", [if_node()], inputs, ["y"])
    model = import_model(path, ImportOptions(bindings={"c": int(value)}))
    text = str(model.module)
    assert ("R.add" in text, "R.multiply" in text) == (value, not value)


def test_if_of_other_shapes_says_what_to_bind(tmp_path: Path) -> None:
    flat = helper.make_node("Flatten", ["x"], ["f"], axis=0)
    other = helper.make_graph([flat], "other", [], [tensor("f", [1, 6])])
    node = helper.make_node(
        "If", ["c"], ["y"], "switch", then_branch=branch("Add", "a"), else_branch=other
    )
    path = make(tmp_path / "m.onnx", [node], {"x": X, "c": np.array(True)}, ["y"])
    with pytest.raises(
        ModelUnreadableError, match=r"If 'switch'.*depend on c.*bind.*--bind c=VALUE"
    ) as caught:
        import_model(path)
    assert str(path) in str(caught.value)


def loop_body(condition: list[onnx.NodeProto], scan: bool) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Cast", ["i"], ["fi"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["sum", "fi"], ["more"]),
        helper.make_node("Add", ["more", "x"], ["next"]),
        *condition,
    ]
    outputs = [tensor("going", [], TensorProto.BOOL), tensor("next", [2, 3])]
    if scan:
        nodes.append(helper.make_node("Identity", ["more"], ["row"]))
        outputs.append(tensor("row", [2, 3]))
    return helper.make_graph(
        nodes,
        "body",
        [
            tensor("i", [], TensorProto.INT64),
            tensor("on", [], TensorProto.BOOL),
            tensor("sum", [2, 3]),
        ],
        outputs,
        [numpy_helper.from_array(np.float32(40), "limit")],
    )


def test_loop_of_a_known_count(tmp_path: Path) -> None:
    same = [helper.make_node("Identity", ["on"], ["going"])]
    node = helper.make_node(
        "Loop", ["n", "true", "x"], ["y", "rows"], body=loop_body(same, scan=True)
    )
    constants = {"n": np.array(5, np.int64), "true": np.array(True)}
    agree(make(tmp_path / "m.onnx", [node], {"x": X}, ["y", "rows"], constants), {"x": X})


def test_what_is_constant_in_a_loop_is_kept_once(tmp_path: Path) -> None:
    body = loop_body([helper.make_node("Identity", ["on"], ["going"])], scan=False)
    body.initializer.append(numpy_helper.from_array(X, "weights"))
    body.node[1].input[1] = "weights"
    node = helper.make_node("Loop", ["n", "true", "x"], ["y"], body=body)
    constants = {"n": np.array(5, np.int64), "true": np.array(True)}
    model = agree(make(tmp_path / "m.onnx", [node], {"x": X}, ["y"], constants), {"x": X})
    assert model.parameter_count == X.size


@pytest.mark.parametrize("first", [0.0, 5.0, 100.0])
def test_loop_that_stops_when_the_model_says(tmp_path: Path, first: float) -> None:
    stop = [
        helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
        helper.make_node("Less", ["total", "limit"], ["going"]),
    ]
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], body=loop_body(stop, scan=False))
    inputs = {"x": X + np.float32(first)}
    path = make(tmp_path / "m.onnx", [node], inputs, ["y"], {"n": np.array(6, np.int64)})
    agree(path, inputs)


def test_loop_without_bounds_is_refused(tmp_path: Path) -> None:
    stop = [
        helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
        helper.make_node("Less", ["total", "limit"], ["going"]),
    ]
    node = helper.make_node("Loop", ["", "", "x"], ["y"], "endless", body=loop_body(stop, False))
    path = make(tmp_path / "m.onnx", [node], {"x": X}, ["y"])
    with pytest.raises(ModelUnreadableError, match="Loop 'endless': nothing bounds"):
        import_model(path)


def test_loop_of_a_hostile_count_is_refused(tmp_path: Path) -> None:
    same = [helper.make_node("Identity", ["on"], ["going"])]
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], "huge", body=loop_body(same, False))
    path = make(tmp_path / "m.onnx", [node], {"x": X}, ["y"], {"n": np.array(1 << 60, np.int64)})
    with pytest.raises(ModelUnreadableError, match="Loop 'huge': more than"):
        import_model(path)


def scan_node(**attributes: object) -> onnx.NodeProto:
    nodes = [
        helper.make_node("Add", ["state", "part"], ["next"]),
        helper.make_node("Mul", ["next", "part"], ["row"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [tensor("state", [2]), tensor("part", [2])],
        [tensor("next", [2]), tensor("row", [2])],
    )
    return helper.make_node(
        "Scan", ["first", "x"], ["last", "rows"], body=body, num_scan_inputs=1, **attributes
    )


@pytest.mark.parametrize("reverse", [0, 1])
def test_scan_over_another_axis_and_backwards(tmp_path: Path, reverse: int) -> None:
    node = scan_node(
        scan_input_axes=[1],
        scan_output_axes=[1],
        scan_input_directions=[reverse],
        scan_output_directions=[reverse],
    )
    constants = {"first": np.ones(2, np.float32)}
    agree(make(tmp_path / "m.onnx", [node], {"x": X}, ["last", "rows"], constants), {"x": X})


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
    make(path, nodes, {"x": X}, ["y"])
    expected = by_onnxruntime(path, {"x": X})
    model = onnx.load(path)
    first, second = (onnx.NodeProto.FromString(n.SerializeToString()) for n in model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([second, first])
    path.write_bytes(model.SerializeToString())
    _, found = compiled(path, {"x": X})
    np.testing.assert_array_equal(found["y"], expected[0])
