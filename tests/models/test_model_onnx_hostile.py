"""ONNX files made to do harm: each is refused in one sentence, in bounded memory and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from made_models import value, write
from onnx import helper, numpy_helper

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model

NODE = helper.make_node
X, Y = [value("x", [4])], [value("y", [4])]


def refused(path: Path) -> str:
    with pytest.raises(ModelUnreadableError) as caught:
        import_model(path)
    assert caught.value.mend
    return str(caught.value)


@pytest.mark.parametrize("operator", ["Expand", "Tile"])
def test_intermediates_that_no_board_holds(tmp_path: Path, operator: str) -> None:
    nodes = [
        NODE("Constant", [], ["s"], value_ints=[1 << 40, 4] if operator == "Expand" else [1 << 40]),
        NODE(operator, ["x", "s"], ["c"], "large"),
        NODE("ReduceSum", ["c"], ["y"], keepdims=0),
    ]
    path = write(tmp_path / "m.onnx", nodes, X, [value("y", [])])
    assert f"{operator} 'large' is a tensor of" in refused(path)


def with_functions(
    path: Path, bodies: list[list[onnx.NodeProto]], call: onnx.NodeProto | None = None
) -> Path:
    """A model that calls the first of its functions, f0, f1, …, each from `a` to `b`."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function("own", f"f{i}", ["a"], ["b"], body, opsets)
        for i, body in enumerate(bodies)
    ]
    node = call or NODE("f0", ["x"], ["y"], domain="own")
    graph = helper.make_graph([node], "g", X, Y)
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_function_that_calls_itself(tmp_path: Path) -> None:
    body = [NODE("f0", ["a"], ["b"], domain="own")]
    assert "not a valid ONNX model" in refused(with_functions(tmp_path / "m.onnx", [body]))


def test_functions_that_double(tmp_path: Path) -> None:
    bodies = [
        [
            NODE(f"f{i + 1}", ["a"], ["c"], domain="own"),
            NODE(f"f{i + 1}", ["c"], ["b"], domain="own"),
        ]
        for i in range(40)
    ]
    path = with_functions(tmp_path / "m.onnx", [*bodies, [NODE("Neg", ["a"], ["b"])]])
    assert "its functions open to more than 200000 nodes" in refused(path)


def test_a_function_whose_input_is_left_out(tmp_path: Path) -> None:
    body = [NODE("Neg", ["a"], ["b"], "inner")]
    call = NODE("f0", [""], ["y"], domain="own")
    said = refused(with_functions(tmp_path / "m.onnx", [body], call))
    assert "Neg 'inner': its input 'X' is missing" in said or "not a valid" in said


def test_a_loop_of_2_to_the_60(tmp_path: Path) -> None:
    body = helper.make_graph(
        [NODE("Identity", ["c"], ["d"]), NODE("Add", ["v", "v"], ["w"])],
        "body",
        [value("i", [], "INT64"), value("c", [], "BOOL"), value("v", [4])],
        [value("d", [], "BOOL"), value("w", [4])],
    )
    nodes = [
        NODE("Constant", [], ["n"], value=numpy_helper.from_array(np.array(1 << 60))),
        NODE("Loop", ["n", "", "x"], ["y"], "endless", body=body),
    ]
    path = write(tmp_path / "m.onnx", nodes, X, Y)
    assert "Loop 'endless': more than 1024 iterations" in refused(path)


def test_branches_of_different_types(tmp_path: Path) -> None:
    branches = [
        helper.make_graph(
            [NODE("Cast", ["x"], [name], to=getattr(onnx.TensorProto, kind))],
            name,
            [],
            [value(name, [4], kind)],
        )
        for name, kind in (("a", "FLOAT"), ("b", "INT64"))
    ]
    node = NODE("If", ["c"], ["y"], "fork", then_branch=branches[0], else_branch=branches[1])
    path = write(tmp_path / "m.onnx", [node], [*X, value("c", [], "BOOL")], Y)
    assert "If 'fork'" in refused(path) or "not a valid" in refused(path)


@pytest.mark.parametrize("place", [b"\x0a\x01x", b"\x12\x01y"])
def test_names_that_are_not_utf_8(tmp_path: Path, place: bytes) -> None:
    path = write(tmp_path / "m.onnx", [NODE("Relu", ["x"], ["y"])], X, Y)
    data = path.read_bytes()
    assert place in data
    path.write_bytes(data.replace(place[-2:], b"\x01\xff"))
    assert "UTF-8" in refused(path)


def nested(depth: int) -> bytes:
    """Graphs in attributes of nodes of graphs, in Protocol Buffers' own bytes."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while True:
            length += bytes([size & 127 | (128 if size > 127 else 0)])
            size >>= 7
            if not size:
                return bytes([number << 3 | 2]) + length + data

    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph)
        graph = field(1, field(4, b"If") + field(5, attribute))
    return bytes([8, 9]) + field(7, graph)


@pytest.mark.parametrize("depth", [20, 200, 5_000])
def test_graphs_nested_deep(tmp_path: Path, depth: int) -> None:
    # Protocol Buffers stops at 100 messages within each other, before any code of ours recurs.
    (tmp_path / "m.onnx").write_bytes(nested(depth))
    assert "m.onnx: not a" in refused(tmp_path / "m.onnx")
