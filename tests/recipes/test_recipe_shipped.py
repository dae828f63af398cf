"""Recipes whose models are made here: what they are is what they say."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import import_model
from edgetvm.package import Executor
from edgetvm.recipes import interpret, load_recipe, model_file, samples, score


@pytest.mark.usefixtures("session_cache")
def test_resnet50_is_the_published_architecture() -> None:
    """Counted from Table 1 of He et al. 2015, with the shortcuts: 53 convolutions."""
    model = onnx.load(model_file(load_recipe("vision/resnet50-v2")))
    sizes = {one.name: tuple(one.dims) for one in model.graph.initializer}
    kernels = [sizes[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    assert len(kernels) == 53
    (dense,) = [node for node in model.graph.node if node.op_type == "Gemm"]
    assert sizes[dense.input[1]] == (1000, 2048)
    weights = sum(int(np.prod(one)) for one in kernels) + 1000 * 2048 + 1000
    assert weights == 25_503_912
    shapes = onnx.shape_inference.infer_shapes(model).graph
    maps = {
        one.name: [d.dim_value for d in one.type.tensor_type.shape.dim] for one in shapes.value_info
    }
    sums = [maps[node.output[0]][1:] for node in model.graph.node if node.op_type == "Add"]
    assert [
        sums.count(one) for one in ([256, 56, 56], [512, 28, 28], [1024, 14, 14], [2048, 7, 7])
    ] == [3, 4, 6, 3]


def parameters(path: Path) -> dict[str, NDArray[np.float32]]:
    """Of `relay.save_param_dict`, read by its layout."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<Q", data, 16)
    at, names = 24, []
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", data, at)
        names.append(data[at + 8 : at + 8 + length].decode())
        at += 8 + length
    at += 8
    found = {}
    for name in names:
        (rank,) = struct.unpack_from("<i", data, at + 24)
        *shape, size = struct.unpack_from(f"<{rank}qq", data, at + 32)
        at += 32 + 8 * rank + 8
        found[name] = np.frombuffer(data[at : at + size], "<f4").reshape(shape)
        at += size
    assert at == len(data)
    return found


def test_digits_of_relay_answer_as_their_parameters_do() -> None:
    recipe = load_recipe("relay/digits")
    held_out = samples(recipe)
    path = model_file(recipe)
    weights = parameters(path.with_suffix(".params"))
    assert {*weights} == {*re.findall(r"%(fc\d_\w+):", path.read_text())}
    artifact = compile_model(import_model(path), load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    predictions = []
    for sample in held_out:
        assert isinstance(sample.value, dict)
        outputs = executor.run(sample.value)
        predictions.append(interpret(recipe, outputs, sample))
        hidden = weights["fc1_weight"] @ sample.value["data"].ravel() + weights["fc1_bias"]
        scores = weights["fc2_weight"] @ np.maximum(hidden, 0) + weights["fc2_bias"]
        shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        np.testing.assert_allclose(next(iter(outputs.values())).ravel(), shares, atol=1e-6)
    assert len(held_out) == 360
    assert score(recipe, predictions, held_out)["top1"] >= recipe.accept["top1"]
