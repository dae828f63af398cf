"""Concatenations without copies: kernels write where their results lie in the joined tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from made_models import value, write
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edgetvm.boards import load_profile
from edgetvm.compile import Artifact, MemoryUse, compile_model
from edgetvm.compile.memory.strides import Lie, lying, over, without_gaps
from edgetvm.compile.options import CompileOptions, Layout
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.package.executor import Executor


@dataclass
class Graph:
    """An ONNX graph that is being made.

    Attributes:
        inputs, outputs: shapes by name.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, kind: str, inputs: str, output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs.split(), [output], **attributes))
        return output

    def constant(self, name: str, *shape: int) -> str:
        # Equal weights would make equal tensors, which are computed once.
        random = np.random.default_rng(len(self.constants))
        self.constants[name] = random.standard_normal(shape, np.float32) / np.float32(4)
        return name

    def conv(self, source: str, output: str, channels: int, features: int, taps: int = 1,
             groups: int = 1) -> str:  # fmt: skip
        """With a bias and relu."""
        weights = self.constant(f"{output}_w", features, channels // groups, taps, taps)
        bias = self.constant(f"{output}_b", features)
        pads = [taps // 2] * 4
        self.add("Conv", f"{source} {weights} {bias}", f"{output}_c", pads=pads, group=groups)
        return self.add("Relu", f"{output}_c", output)

    def join(self, parts: str, output: str, axis: int = 1) -> str:
        return self.add("Concat", parts, output, axis=axis)


def compare(graph: Graph, path: Path, layout: Layout = "NHWC") -> Artifact:
    """Compare with ONNX Runtime, twice in a row."""
    write(
        path, graph.nodes,
        [value(name, list(shape)) for name, shape in graph.inputs.items()],
        [value(name, list(shape)) for name, shape in graph.outputs.items()],
        graph.constants,
    )  # fmt: skip
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"), options=CompileOptions(layout=layout))
    executor = Executor(artifact.library, artifact.signature)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for seed in (7, 8):
        inputs = fill(model.signature, "random", seed)
        found = executor.run(inputs)
        for spec, expected in zip(session.get_outputs(), session.run(None, inputs), strict=True):
            np.testing.assert_allclose(found[spec.name], expected, rtol=1e-3, atol=1e-5)
    memory = artifact.memory
    assert memory is not None
    assert memory.peak_activation_bytes <= 1.1 * memory.live_bytes_lower_bound
    return artifact


def copies(artifact: Artifact) -> int:
    """Calls of kernels that move elements to where they are joined."""
    names = ("concatenate", "copy")
    return sum(one.calls for one in artifact.kernels if any(name in one.name for name in names))


def branches() -> Graph:
    """Each kind of kernel makes a part, and none begins or ends where a vector does."""
    graph = Graph({"x": (1, 12, 9, 11)}, {"y": (1, 7, 9, 11)})
    graph.conv("x", "stem", 12, 36, 3)
    graph.conv("stem", "pointwise", 36, 5)
    graph.conv("stem", "winograd", 36, 34, 3)
    graph.conv("stem", "large", 36, 9, 5)
    graph.conv("stem", "depthwise", 36, 36, 3, groups=36)
    graph.conv("stem", "grouped", 36, 20, 3, groups=4)
    graph.add("MaxPool", "stem", "pooled", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph.add("Softmax", "stem", "chance", axis=1)
    graph.add("Sigmoid", "stem", "gate")
    graph.join("pointwise winograd large depthwise grouped pooled chance gate", "joined")
    graph.conv("joined", "y", 212, 7, 3)
    return graph


def dense(nested: bool) -> Graph:
    """Every layer takes what all before it gave."""
    graph = Graph({"x": (2, 16, 10, 10)}, {"y": (2, 16, 5, 5), "z": (2, 48, 10, 10)})
    parts = [graph.conv("x", "r0", 16, 16)]
    joined = "r0"
    for layer in range(1, 5):
        graph.conv(joined, f"n{layer}", 16 * layer, 24)
        parts.append(graph.conv(f"n{layer}", f"r{layer}", 24, 16, 3))
        joined = graph.join(f"{joined} r{layer}" if nested else " ".join(parts), f"j{layer}")
    graph.conv("j2", "z", 48, 48)
    graph.conv(joined, "last", 80, 16)
    graph.add("AveragePool", "last", "y", kernel_shape=[2, 2], strides=[2, 2])
    return graph


def pieces_of_all_kinds() -> Graph:
    """An input, a constant, an output and the second of two equal parts are copied."""
    shape = (1, 8, 6, 6)
    graph = Graph({"x": shape}, {"a": shape, "y": (1, 8, 6, 6)})
    graph.constant("k", *shape)
    for name in "abcde":
        graph.conv("x", name, 8, 8, 3)
    graph.join("b k c d a e x d", "j")
    graph.conv("j", "f", 64, 8)
    graph.join("f f", "i")
    graph.conv("i", "y", 16, 8)
    return graph


def twice_joined() -> Graph:
    """A tensor with other neighbours in each of two; rows joined one below the other."""
    graph = Graph({"x": (1, 16, 8, 8)}, {"z": (1, 4, 16, 8)})
    for name in "abc":
        graph.conv("x", name, 16, 16, 3)
    graph.join("a b", "ab")
    graph.join("c a", "ca")
    graph.conv("ab", "p", 32, 16)
    graph.conv("ca", "q", 32, 16)
    graph.join("p q", "tall", axis=2)
    graph.conv("tall", "z", 16, 4)
    return graph


def sequences() -> Graph:
    """Steps of time one after the other, from where no vector begins, and seen otherwise."""
    graph = Graph({"x": (1, 5, 7)}, {"y": (1, 10, 7), "z": (1, 5, 24)})
    graph.constant("v", 7, 7)
    graph.constant("w", 7, 17)
    graph.constants["row"] = np.array([1, 35], np.int64)  # type: ignore[assignment]
    graph.constants["back"] = np.array([1, 5, 7], np.int64)  # type: ignore[assignment]
    graph.add("MatMul", "x v", "a")
    graph.add("Reshape", "a row", "flat")
    graph.add("Softmax", "flat", "s", axis=1)
    graph.add("Reshape", "s back", "b")
    graph.join("a b", "t")
    graph.add("MatMul", "t v", "y")
    graph.add("MatMul", "b w", "c")
    graph.add("Softmax", "c", "d", axis=2)
    graph.join("d a", "z", axis=2)
    return graph


def skipped() -> Graph:
    """As in segmentation: what was made early is joined to what is made late."""
    graph = Graph({"x": (1, 8, 16, 16)}, {"y": (1, 1, 16, 16)})
    graph.conv("x", "early", 8, 16, 3)
    graph.add("MaxPool", "early", "small", kernel_shape=[2, 2], strides=[2, 2])
    graph.conv("small", "deep", 16, 32, 3)
    graph.constants["scales"] = np.array([1, 1, 2, 2], np.float32)
    graph.add("Resize", "deep  scales", "large", mode="nearest")
    graph.nodes[-1].input[:] = ["deep", "", "scales"]
    graph.join("early large", "joined")
    graph.conv("joined", "y", 48, 1, 3)
    return graph


CASES: dict[str, tuple[Callable[[], Graph], Layout, int]] = {
    "branches": (branches, "NHWC", 0),
    "dense": (lambda: dense(nested=False), "NHWC", 0),
    "nested": (lambda: dense(nested=True), "NHWC", 0),
    "kinds": (pieces_of_all_kinds, "NCHW", 5),
    "kinds, channels last": (pieces_of_all_kinds, "NHWC", 3),
    "twice": (twice_joined, "NHWC", 1),
    "sequences": (sequences, "NHWC", 1),
    "skipped": (skipped, "NHWC", 0),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_and_copies(case: str, tmp_path: Path) -> None:
    make, layout, count = CASES[case]
    assert copies(compare(make(), tmp_path / "m.onnx", layout)) == count


def test_memory_by_hand(tmp_path: Path) -> None:
    graph = Graph({"x": (4, 16)}, {"y": (4, 8)})
    for name, shape in {"v": (16, 32), "w": (16, 64), "t": (96, 8)}.items():
        graph.constant(name, *shape)
    graph.add("MatMul", "x v", "a")
    graph.add("MatMul", "x w", "b")
    graph.join("a b", "j")
    graph.add("MatMul", "j t", "y")
    size = 4 * 4 * (32 + 64)
    assert compare(graph, tmp_path / "m.onnx").memory == MemoryUse(size, size)


def test_a_kernel_over_parts_is_tuned_as_one_over_whole_tensors() -> None:
    import tvm_ffi
    from tvm import te

    x = te.placeholder((3, 5, 8), name="x")
    y = te.compute((3, 5, 8), lambda i, j, k: x[i, j, k] * 2.0, name="y")
    kernel = te.create_prim_func([x, y])
    placed = lying(kernel, {0: Lie(None, 0, 4), 1: Lie(pitch=24, leading=2, alignment_bytes=32)})
    assert [int(step) for step in placed.params[1].ty.strides] == [5 * 24, 24, 1]
    assert tvm_ffi.structural_equal(without_gaps(placed), kernel)
    assert tvm_ffi.structural_equal(over(kernel, placed.params), placed)
