"""Kernels know the nodes of the source file that they compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_models import value, write
from made_operators import Op, Sub, T, const, write_graphs
from onnx import helper

from edgetvm.base.words import told_nodes
from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.compile.artifact import Kernel
from edgetvm.models import import_model


def kernels(path: Path) -> tuple[Kernel, ...]:
    return compile_model(import_model(path), load_profile("local")).kernels


def test_nodes_of_a_fused_kernel(tiny_onnx: Path) -> None:
    nodes = [node for kernel in kernels(tiny_onnx) for call in kernel.nodes for node in call]
    # What puts an input in another order belongs to the node that wants it so; flattening is a
    # view, which no kernel computes.
    assert list(dict.fromkeys(nodes)) == ["conv", "relu", "pool", "dense"]
    assert (("conv", "relu"),) in [kernel.nodes for kernel in kernels(tiny_onnx)]


def test_equal_kernels_tell_their_calls_apart(tmp_path: Path) -> None:
    layers = 4
    nodes = []
    for index in range(layers):
        taken = "x" if index == 0 else f"r{index - 1}"
        nodes += [
            helper.make_node("MatMul", [taken, "w"], [f"m{index}"], f"block{index}/dense"),
            helper.make_node("Tanh", [f"m{index}"], [f"r{index}"], f"block{index}/tanh"),
        ]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [value("x", (1, 8))],
        [value(f"r{layers - 1}", (1, 8))],
        {"w": np.eye(8, dtype=np.float32)},
    )
    (kernel,) = kernels(path)
    assert kernel.calls == layers
    assert kernel.nodes == tuple(
        (f"block{index}/dense", f"block{index}/tanh") for index in range(layers)
    )


def test_a_node_without_a_name_is_called_by_its_output(tmp_path: Path) -> None:
    nodes = [helper.make_node("Exp", ["x"], ["grown"]), helper.make_node("Neg", ["grown"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [value("x", (1, 8))], [value("y", (1, 8))])
    assert [kernel.nodes for kernel in kernels(path)] == [(("grown", "y"),)]


def test_an_operator_that_is_opened_keeps_its_node(tmp_path: Path) -> None:
    nodes = [helper.make_node("MeanVarianceNormalization", ["x"], ["y"], "mvn", axes=[1])]
    path = write(tmp_path / "m.onnx", nodes, [value("x", (2, 8))], [value("y", (2, 8))])
    found = kernels(path)
    assert len(found) > 1
    assert {node for kernel in found for call in kernel.nodes for node in call} == {"mvn"}


def test_operators_of_tflite_are_called_by_their_outputs(tmp_path: Path) -> None:
    tensors = [
        T((1, 6), "int8", scale=0.1, name="x"),
        const(np.ones((4, 6)), "int8", scale=0.1),
        const(np.zeros(4), "int32", scale=0.01),
        T((1, 4), "int8", scale=0.1, name="layers/0/dense"),
        T((1, 4), "int8", scale=1 / 256, zero=-128, name="layers/1/softmax"),
    ]
    operators = [
        Op("FULLY_CONNECTED", [0, 1, 2], [3]),
        Op("SOFTMAX", [3], [4], ("SoftmaxOptions", {"beta": 1.0})),
    ]
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, operators, [0], [4]))
    found = {node for kernel in kernels(path) for call in kernel.nodes for node in call}
    assert found == {"layers/0/dense", "layers/1/softmax"}


def test_the_last_kernel_of_a_branch_keeps_its_node(tmp_path: Path) -> None:
    path = tmp_path / "m.relay"
    path.write_text(
        """#[version = "0.0.5"]
        def @main(%x: Tensor[(1, 8), float32]) {
          let %total = sum(%x);
          if (greater(%total, 1f)) { tanh(negative(%x)) } else { nn.softmax(sqrt(%x)) }
        }"""
    )
    found = {call for kernel in kernels(path) for call in kernel.nodes}
    assert found == {
        ("total",),
        ("greater",),
        ("negative", "tanh"),
        ("sqrt",),
        ("softmax",),
    }


def test_equal_branches_are_called_as_often_as_the_source_has_them(tmp_path: Path) -> None:
    path = tmp_path / "m.relay"
    path.write_text(
        """#[version = "0.0.5"]
        def @f(%a: Tensor[(3, 3), float32]) -> Tensor[(3, 3), float32] {
          if (greater(sum(%a), 1f)) { nn.batch_matmul(%a, %a) } else { %a }
        }
        def @main(%x: Tensor[(3, 3), float32]) { @f(@f(%x)) }"""
    )
    model = import_model(path)
    assert model.multiply_adds == {"float32": 2 * 27}
    counts = [len(k.nodes) for k in compile_model(model, load_profile("local")).kernels]
    assert counts and set(counts) == {2}


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ((), "none of the source"),
        (((),), "none of the source"),
        ((("conv", "relu"),), "conv + relu"),
        ((("conv", "relu"), ("conv2", "relu2"), ("conv3",)), "conv + relu, 2 more"),
        ((tuple("abcdef"),), "a + b + c + … + f"),
        ((("x" * 30 + "y" * 30,),), "…" + "x" * 9 + "y" * 30),
    ],
)
def test_how_nodes_are_told(calls: tuple[tuple[str, ...], ...], told: str) -> None:
    assert told_nodes(calls) == told
