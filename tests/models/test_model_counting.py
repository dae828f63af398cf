"""Multiply-adds, parameters and quantisation, beside counts made by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import value, write
from made_operators import Op, Sub, T, const, write_graphs
from onnx import NodeProto, helper

from edgetvm.boards import load_profile
from edgetvm.compile.compiler import optimise
from edgetvm.compile.options import CompileOptions
from edgetvm.models import Model, import_model
from edgetvm.models.counting import multiply_adds
from edgetvm.models.model import QuantisedTensors


def one_node(
    path: Path, node: NodeProto, shape: tuple[int, ...], **constants: tuple[int, ...]
) -> Model:
    arrays = {name: np.ones(sizes, np.float32) for name, sizes in constants.items()}
    return import_model(write(path, [node], [value("x", shape)], [value("y", None or [])], arrays))


CASES = [
    # out channels * out height * out width * in channels of a group * kernel
    ("Conv", (1, 8, 10, 12), (6, 8, 3, 3), {}, 6 * 8 * 10 * 8 * 9),
    ("Conv", (2, 8, 10, 12), (8, 1, 3, 3), {"group": 8}, 2 * 8 * 8 * 10 * 1 * 9),
    ("Conv", (1, 8, 10, 12), (4, 4, 5, 5), {"group": 2, "strides": [2, 2]}, 4 * 3 * 4 * 4 * 25),
    ("Conv", (1, 3, 20), (5, 3, 4), {}, 5 * 17 * 3 * 4),
    # in height * in width * in channels * out channels * kernel
    ("ConvTranspose", (1, 6, 5, 7), (6, 4, 3, 3), {"strides": [2, 2]}, 5 * 7 * 6 * 4 * 9),
    ("MatMul", (3, 5, 7), (7, 11), {}, 3 * 5 * 7 * 11),
    ("Gemm", (5, 7), (7, 11), {}, 5 * 7 * 11),
    ("Add", (5, 7), (5, 7), {}, 0),
]


@pytest.mark.parametrize(("kind", "shape", "weight", "attributes", "count"), CASES)
def test_multiply_adds_of_one_operator(
    tmp_path: Path,
    kind: str,
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    attributes: dict[str, object],
    count: int,
) -> None:
    path, rank = tmp_path / "m.onnx", len(shape)
    node = helper.make_node(kind, ["x", "w"], ["y"], **attributes)
    constants = {"w": np.ones(weight, np.float32)}
    write(path, [node], [value("x", shape)], [value("y", [None] * rank)], constants)
    model = import_model(path)
    assert sum(model.multiply_adds.values()) == count
    # The same is found in the loops that the operators become, but for the zeros that TVM puts
    # between the inputs of a transposed convolution.
    # Plain loops: what is packed or lies in planes is computed with a few products too many.
    plain = optimise(model, load_profile("local"), CompileOptions(opt_level=1))
    looped = sum(multiply_adds(plain).values())
    assert looped == count or (looped > count and kind == "ConvTranspose")
    assert model.parameters == {"float32": math.prod(weight)}
    assert model.quantised == ()


@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    batch=st.integers(1, 3),
)
@settings(max_examples=8, deadline=None)
def test_multiply_adds_of_products(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], batch: int
) -> None:
    rows, inner, columns = sizes
    path = tmp_path_factory.mktemp("m") / "m.onnx"
    node = helper.make_node("Einsum", ["x", "z"], ["y"], equation="bij,bjk->bik")
    inputs = [value("x", (batch, rows, inner)), value("z", (batch, inner, columns))]
    write(path, [node], inputs, [value("y", [None] * 3)])
    assert sum(import_model(path).multiply_adds.values()) == batch * rows * inner * columns


def test_a_quantised_tflite_file(tmp_path: Path) -> None:
    tensors = [
        T((1, 6), "int8", scale=0.1, name="x"),
        const(np.ones((4, 6)), "int8", scale=[0.1, 0.2, 0.3, 0.4], zero=[0] * 4),
        const(np.zeros(4), "int32", scale=[0.01, 0.02, 0.03, 0.04], zero=[0] * 4),
        T((1, 4), "int8", scale=0.1, name="y"),
    ]
    graph = Sub(tensors, [Op("FULLY_CONNECTED", [0, 1, 2], [3])], [0], [3])
    model = import_model(write_graphs(tmp_path / "m.tflite", graph))
    assert model.multiply_adds == {"int8": 24}
    assert model.parameters == {"int8": 24, "int32": 4}
    assert model.parameter_count == 28
    assert set(model.quantised) == {
        QuantisedTensors("activations", "int8", per_channel=False, count=2),
        QuantisedTensors("weights", "int8", per_channel=True, count=1),
    }
    assert "2 activations in int8 per tensor" in map(str, model.quantised)
    assert "1 weight in int8 per channel" in map(str, model.quantised)


def test_a_quantised_onnx_file(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        helper.make_node("Gemm", ["d", "wd"], ["y"]),
    ]
    constants = {
        "s": np.array(0.1, np.float32),
        "z": np.array(3, np.uint8),
        "w": np.ones((6, 4), np.int8),
        "ws": np.linspace(0.1, 0.6, 6, dtype=np.float32),
        "wz": np.zeros(6, np.int8),
    }
    path = tmp_path / "m.onnx"
    write(path, nodes, [value("x", (1, 6))], [value("y", (1, 4))], constants)
    assert set(import_model(path).quantised) == {
        QuantisedTensors("activations", "uint8", per_channel=False, count=1),
        QuantisedTensors("weights", "int8", per_channel=True, count=1),
    }
