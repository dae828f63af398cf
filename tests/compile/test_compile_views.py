"""What only reshapes is no kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from made_models import value, write
from onnx import NodeProto, helper

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.package.executor import Executor


def node(kind: str, inputs: str, output: str = "y", **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


I64 = {"dtype": np.int64}
SHAPES = {
    "one": np.array([6, 4], **I64),
    "two": np.array([2, 12], **I64),
    "three": np.array([4, 6], **I64),
    "first": np.array([1], **I64),
    "from": np.array([0], **I64),
    "to": np.array([2], **I64),
    "axis": np.array([0], **I64),
}

# Nodes; shapes of inputs; shapes of outputs; how many kernels are left.
MODELS = {
    "the output": ([node("Relu", "x", "a"), node("Reshape", "a one")], [2, 3, 4], [6, 4], 1),
    "an input": ([node("Reshape", "x one", "a"), node("Relu", "a")], [2, 3, 4], [6, 4], 1),
    # What is a view of an input is copied where it is returned.
    "all of it": ([node("Reshape", "x one")], [2, 3, 4], [6, 4], 1),
    "both ends": (
        [node("Flatten", "x", "a"), node("Relu", "a", "b"), node("Reshape", "b one", "c"),
         node("Unsqueeze", "c axis")],
        [2, 3, 4], [1, 6, 4], 1,
    ),
    "several in a row": (
        [node("Reshape", "x one", "a"), node("Reshape", "a two", "b"), node("Reshape", "b three")],
        [2, 3, 4], [4, 6], 1,
    ),
    "two of one tensor": (
        [node("Reshape", "x one", "a"), node("Reshape", "x three", "b"),
         node("Softmax", "a", "c", axis=1), node("Softmax", "b", "d", axis=1),
         node("Reshape", "d one", "e"), node("Add", "c e")],
        [2, 3, 4], [6, 4], 2,
    ),
    "one between two kernels": (
        [node("Softmax", "x", "a", axis=2), node("Reshape", "a two", "b"),
         node("Softmax", "b", axis=1)],
        [2, 3, 4], [2, 12], 2,
    ),
    "an axis of one element": ([node("Transpose", "x", perm=[1, 0, 2])], [1, 3, 4], [3, 1, 4], 1),
    "a permutation": ([node("Transpose", "x", perm=[1, 0, 2])], [2, 3, 4], [3, 2, 4], 1),
    # Its elements are in place as well, but not all of them.
    "the first rows": ([node("Slice", "x from to")], [3, 4], [2, 4], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_reshapes_are_no_kernels(name: str, tmp_path: Path) -> None:
    nodes, taken, given, kernels = MODELS[name]
    path = write(tmp_path / "m.onnx", nodes, [value("x", taken)], [value("y", given)], SHAPES)
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert sum(kernel.calls for kernel in artifact.kernels) == kernels, artifact.kernels
    assert not any("reshape" in kernel.name for kernel in artifact.kernels)
    inputs = fill(model.signature, "random", 7)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, inputs)
    found = Executor(artifact.library, artifact.signature).run(inputs)["y"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_tensor_and_its_view_are_both_outputs(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Reshape", "y one", "z"), node("Reshape", "x two", "w")]
    outputs = [value("y", [2, 3, 4]), value("z", [6, 4]), value("w", [2, 12])]
    path = write(tmp_path / "m.onnx", nodes, [value("x", [2, 3, 4])], outputs, SHAPES)
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert [kernel.name for kernel in artifact.kernels] == ["relu", "copy", "copy1"]
    x = np.random.default_rng(1).standard_normal((2, 3, 4), np.float32)
    executor = Executor(artifact.library, artifact.signature)
    first = executor.run({"x": x})
    second = executor.run({"x": -x})
    for found, given in ((first, x), (second, -x)):
        np.testing.assert_array_equal(found["y"], np.maximum(given, 0))
        np.testing.assert_array_equal(found["z"], np.maximum(given, 0).reshape(6, 4))
        np.testing.assert_array_equal(found["w"], given.reshape(2, 12))


def test_a_kernel_without_its_reshapes_keeps_its_nodes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["b"], "relu"),
        helper.make_node("Neg", ["b"], ["c"], "neg"),
        helper.make_node("Reshape", ["c", "one"], ["y"], "reshape"),
    ]
    path = write(tmp_path / "m.onnx", nodes, [value("x", [2, 3, 4])], [value("y", [6, 4])], SHAPES)
    (kernel,) = compile_model(import_model(path), load_profile("local")).kernels
    assert kernel.nodes == (("relu", "neg", "reshape"),)
