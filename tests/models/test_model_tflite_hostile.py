"""TFLite files that no exporter writes: one clear sentence each, in little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert import by_edgetvm
from made_operators import Op, Sub, T, const, write_graphs

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError
from edgetvm.models import import_model

MOST_BYTES = 500 << 20


def refusal(path: Path, *graphs: Sub) -> str:
    """The words of the error."""
    write_graphs(path / "m.tflite", *graphs)
    with pytest.raises(ModelUnreadableError) as caught:
        import_model(path / "m.tflite")
    assert caught.value.mend
    return caught.value.what


def alone(name: str, tensors: list[T], options: Any = None) -> Sub:
    """One operator that takes all tensors but the last and gives that."""
    count = len(tensors) - 1
    given = [at for at, one in enumerate(tensors[:-1]) if one.data is None]
    return Sub(tensors, [Op(name, list(range(count)), [count], options)], given, [count])


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (T((3,), "int8", scale=0.0), "has a quantisation scale that is no positive number"),
        (T((3,), "int8", scale=float("nan")), "has a quantisation scale that is no positive"),
        (T((3,), "int8", scale=-0.5), "has a quantisation scale that is no positive number"),
        (T((3,), "int8", scale=0.5, zero=128), "has a zero point that int8 does not hold"),
        (T((3,), "uint8", scale=0.5, zero=-1), "has a zero point that uint8 does not hold"),
        (T((3,), "int8", scale=[0.5, 0.5]), r"has 2 scales for axis 0 of [3]"),
        (T((3,), "int8", scale=[0.5] * 3, axis=1), r"has 3 scales for axis 1 of [3]"),
        (T((3,), "int8", scale=[0.5] * 3, axis=-1), r"has 3 scales for axis -1 of [3]"),
        (T((1 << 20, 1 << 20)), f"is float32[{1 << 20}, {1 << 20}], larger than 2 GiB"),
        (T((4,), data=np.zeros(3)), "does not hold what it says: 12 bytes for FLOAT32 [4]"),
        (T((-3,), data=np.zeros(3)), "does not hold what it says: 12 bytes for FLOAT32 [-3]"),
        (T((3,), "int4", np.zeros(8, np.int8), 0.5), "what it says: 4 bytes for INT4 [3]"),
    ],
)
def test_tensors_that_cannot_be(tmp_path: Path, tensor: T, words: str) -> None:
    tensor.name = "odd"
    found = refusal(tmp_path, Sub([tensor, T((3,))], [Op("ABS", [0], [1])], [], [1]))
    assert found.startswith("tensor 'odd' ")
    assert words in found


HUGE = 1 << 26
WINDOW = {"strideH": 1, "strideW": 1, "filterHeight": 1, "filterWidth": HUGE}


@pytest.mark.parametrize(
    "graph",
    [
        alone("CUMSUM", [T((1 << 16,)), const([0]), T((1 << 16,))]),
        alone("AVERAGE_POOL_2D", [T((1, 3, 4, 5)), T((1, 3, 4, 5))], ("Pool2DOptions", WINDOW)),
        alone("MIRROR_PAD", [T((3, 4)), const([[0, 0], [0, HUGE]]), T((3, 4))]),
        alone("RESIZE_BILINEAR", [T((1, 3, 4, 2)), const([HUGE, 5]), T((1, 3, 4, 2))]),
        alone("FILL", [const([1 << 20, 1 << 20]), const(1.0, "float32"), T((1, 1))]),
        alone("TILE", [const([1.0], "float32"), const([1 << 40], "int64"), T((1,))]),
        alone("ONE_HOT", [T((3,), "int32"), const(HUGE), const(1), const(0), T((3,), "int32")]),
        alone("BROADCAST_TO", [T((1,)), const([1 << 40], "int64"), T((1,))]),
        alone("PAD", [T((1,)), const([[0, 1 << 40]], "int64"), T((1,))]),
        alone("RFFT2D", [T((1, 8)), const([1, HUGE]), T((1, 5))]),
        alone("MATRIX_DIAG", [T((1 << 16,)), T((1, 1))]),
        alone("RANGE", [const(0), const((1 << 31) - 1), const(1), T((1,), "int32")]),
    ],
    ids=lambda graph: graph.operators[0].name,
)
def test_small_files_that_ask_for_much(tmp_path: Path, graph: Sub) -> None:
    tracemalloc.start()
    try:
        found = refusal(tmp_path, graph)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert found.startswith(f"{graph.operators[0].name} #0 ")


@pytest.mark.parametrize("inputs", [[], [0], [0, 0, 0, 0, 0, 0, 0]])
@pytest.mark.parametrize("name", ["ADD", "CONV_2D", "RESHAPE", "SVDF", "CONCATENATION", "IF"])
def test_operators_with_other_inputs(tmp_path: Path, name: str, inputs: list[int]) -> None:
    graph = Sub([T((3,)), T((3,), name="y")], [Op(name, inputs, [1])], [0], [1])
    try:
        by_edgetvm(write_graphs(tmp_path / "m.tflite", graph), [np.zeros(3, np.float32)])
    except EdgetvmError as error:
        assert f"{name} #0 y stopped: " in error.what or "#0 y)" in error.what
    else:
        assert (name, len(inputs)) in (("CONCATENATION", 1), ("CONCATENATION", 7), ("ADD", 7))


def test_numbers_of_nothing(tmp_path: Path) -> None:
    for numbers in ([7], [-2]):
        graph = Sub([T((3,)), T((3,))], [Op("ABS", numbers, [1])], [0], [1])
        assert refusal(tmp_path, graph) == "damaged or cut off"
    for index in (3, -1):
        fields = {"thenSubgraphIndex": index, "elseSubgraphIndex": index}
        operator = Op("IF", [0], [1], ("IfOptions", fields))
        graph = Sub([T((1,), "bool"), T((1,))], [operator], [0], [1])
        assert refusal(tmp_path, graph) == "damaged or cut off"


CALLS: dict[str, Any] = {
    "IF": ("IfOptions", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 1}),
    "WHILE": ("WhileOptions", {"condSubgraphIndex": 1, "bodySubgraphIndex": 1}),
    "STABLEHLO_COMPOSITE": ("StableHLOCompositeOptions", {"decompositionSubgraphIndex": 1}),
}


@pytest.mark.parametrize("name", CALLS)
def test_graphs_that_call_themselves(tmp_path: Path, name: str) -> None:
    truth = T((1,), "bool")
    inner = Sub([truth, truth], [Op(name, [0], [1], CALLS[name])], [0], [1])
    if name == "IF":
        inner = Sub([const([1], "bool"), truth], [Op(name, [0], [1], CALLS[name])], [], [1])
    outer = Sub([truth, truth], [Op(name, [0], [1], CALLS[name])], [0], [1])
    assert "graph 1 calls itself" in refusal(tmp_path, outer, inner)


def test_loops_within_loops_end(tmp_path: Path) -> None:
    number = T((1,), "int32")

    def loop(going: int, body: int, tensors: list[T], more: list[Op], outputs: list[int]) -> Sub:
        fields = ("WhileOptions", {"condSubgraphIndex": going, "bodySubgraphIndex": body})
        return Sub(tensors, [Op("WHILE", [0], [1], fields), *more], [], outputs)

    going = Sub([number, const([1000]), T((1,), "bool")], [Op("LESS", [0, 1], [2])], [0], [2])
    count = Op("ADD", [0, 1], [2], ("AddOptions", {}))
    body = Sub([number, const([1]), number], [count], [0], [2])
    inner = loop(1, 2, [const([0]), number, number, const([1]), number], [], [4])
    inner.operators = [*inner.operators, Op("ADD", [2, 3], [4], ("AddOptions", {}))]
    inner.inputs = [2]
    outer = loop(1, 3, [const([0]), number], [], [1])
    assert "it unrolls into more than" in refusal(tmp_path, outer, going, body, inner)


def test_options_of_another_operator_are_not_read(tmp_path: Path) -> None:
    """As LiteRT does: the operator then has its defaults."""
    graph = alone("SOFTMAX", [T((1, 3)), T((1, 3))], ("Pool2DOptions", {"strideW": 7}))
    x = np.array([[1, 2, 3]], np.float32)
    (found,) = by_edgetvm(write_graphs(tmp_path / "m.tflite", graph), [x])
    np.testing.assert_allclose(found, np.full((1, 3), 1 / 3), rtol=1e-6)  # a beta of 0
