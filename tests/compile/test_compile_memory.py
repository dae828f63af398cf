"""Compiled models in one arena: what it takes, and that the answers stay right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from made_models import value, write
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edgetvm.boards import load_profile
from edgetvm.compile import MemoryUse, compile_model
from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.memory.scratch import scratch_as_arguments
from edgetvm.compile.passes import LOWERING_PASSES
from edgetvm.compile.target import target_for
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.package.executor import Executor

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def node(kind: str, inputs: str, output: str = "y", **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def weights(*shape: int) -> NDArray[np.float32]:
    random = np.random.default_rng(sum(shape))
    return random.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))


def compare(path: Path) -> MemoryUse | None:
    """Compare with ONNX Runtime, twice in a row. Answers with the memory that a run takes."""
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for seed in (7, 8):
        inputs = fill(model.signature, "random", seed)
        found = executor.run(inputs)
        for spec, expected in zip(session.get_outputs(), session.run(None, inputs), strict=True):
            np.testing.assert_allclose(found[spec.name], expected, rtol=1e-3, atol=1e-5)
    return artifact.memory


def test_memory_by_hand(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x v", "a"),
        node("MatMul", "a w", "b"),
        node("MatMul", "b u", "c"),
        node("Add", "a c", "d"),
        node("MatMul", "d t"),
    ]
    shapes = {"v": (64, 128), "w": (128, 256), "u": (256, 128), "t": (128, 32)}
    path = write(
        tmp_path / "m.onnx", nodes, [value("x", [1, 64])], [value("y", [1, 32])],
        {name: weights(*shape) for name, shape in shapes.items()},
    )  # fmt: skip
    # Most is needed while c is made: a (128 elements), b (256) and c (128), or d in its place.
    assert compare(path) == MemoryUse(
        peak_activation_bytes=4 * (128 + 256 + 128), live_bytes_lower_bound=4 * (128 + 256 + 128)
    )


def dense_blocks(path: Path) -> Path:
    """Every layer takes what all layers before it gave."""
    nodes, constants, channels = [], {}, 8
    joined = "x"
    for index in range(6):
        nodes += [
            node("Conv", f"{joined} w{index}", f"c{index}", pads=[1, 1, 1, 1]),
            node("Relu", f"c{index}", f"r{index}"),
            node("Concat", f"{joined} r{index}", f"j{index}", axis=1),
        ]
        constants[f"w{index}"] = weights(8, channels, 3, 3)
        channels += 8
        joined = f"j{index}"
    nodes.append(node("GlobalAveragePool", joined))
    return write(
        path, nodes, [value("x", [1, 8, 10, 10])], [value("y", [1, channels, 1, 1])], constants
    )


def recurrent(path: Path) -> Path:
    """Its kernel declares its tensors' offsets itself."""
    nodes = [
        node("MatMul", "x v", "a"),
        node("LSTM", "a w r", "s h c", hidden_size=16),
        node("Squeeze", "s axis", "t"),
        node("Softmax", "t", "y", axis=2),
    ]
    constants = {
        "v": weights(12, 20),
        "w": weights(1, 64, 20),
        "r": weights(1, 64, 16),
        "axis": np.array([1], np.int64),
    }
    outputs = [value("y", [5, 1, 16]), value("h", [1, 1, 16]), value("c", [1, 1, 16])]
    return write(path, nodes, [value("x", [5, 1, 12])], outputs, constants)


def squeezenet(path: Path) -> Path:
    """From the onnx package; its weights are all equal."""
    path.write_bytes((LIGHT / "light_squeezenet.onnx").read_bytes())
    return path


@pytest.mark.parametrize("make", [dense_blocks, recurrent, squeezenet])
def test_the_arena_is_hardly_larger_than_what_lives(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    memory = compare(make(tmp_path / "m.onnx"))
    assert memory is not None
    assert memory.peak_activation_bytes <= 1.1 * memory.live_bytes_lower_bound


def test_outputs_outlive_the_next_run(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.onnx",
        [node("MatMul", "x v", "a"), node("Softmax", "a"), node("MatMul", "a w", "z")],
        [value("x", [2, 16])],
        [value("y", [2, 32]), value("z", [2, 8])],
        {"v": weights(16, 32), "w": weights(32, 8)},
    )
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    x = np.random.default_rng(1).standard_normal((2, 16), np.float32)
    first = executor.run({"x": x})
    before = {name: array.copy() for name, array in first.items()}
    executor.run({"x": -x})
    for name, then in before.items():
        np.testing.assert_array_equal(first[name], then)


def test_a_model_with_a_branch_is_not_planned(tmp_path: Path) -> None:
    path = tmp_path / "m.relay"
    path.write_text(
        """#[version = "0.0.5"]
        def @main(%x: Tensor[(2, 8), float32]) {
          let %total = sum(%x);
          let %chosen = if (greater(%total, 1f)) {
            reshape(nn.softmax(tanh(%x)), newshape=[4, 4])
          } else {
            reshape(nn.softmax(%x), newshape=[4, 4])
          };
          nn.softmax(reshape(%chosen, newshape=[8, 2]))
        }"""
    )
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert artifact.memory is None
    (spec,) = model.signature.outputs

    def softmax(array: NDArray[np.float32]) -> Any:
        grown = np.exp(array)
        return grown / grown.sum(axis=-1, keepdims=True)

    executor = Executor(artifact.library, artifact.signature)
    for x in (np.full((2, 8), 0.5, np.float32), np.full((2, 8), -0.5, np.float32)):
        x[0, 3] = 0.9
        chosen = softmax(np.tanh(x)) if x.sum() > 1 else softmax(x)
        found = executor.run({"x": x})[spec.name]
        np.testing.assert_allclose(found, softmax(chosen.reshape(8, 2)), rtol=1e-5)


def test_scratch_memory_of_a_kernel_lies_in_the_arena() -> None:
    import tvm
    from tvm import relax, te

    size = 64
    x = te.placeholder((size, size), name="x")
    rows = te.compute((size, size), lambda i, j: x[i, j] * 2.0, name="rows")
    y = te.compute((size, size), lambda i, j: rows[j, i] + rows[i, j], name="y")
    tensor = relax.TensorType((size, size), "float32")
    builder = relax.BlockBuilder()
    kernel = builder.add_func(te.create_prim_func([x, y]), "kernel")
    taken = relax.Var("x", tensor)
    with builder.function("main", [taken]):
        with builder.dataflow():
            once = builder.emit(relax.call_tir(kernel, [taken], tensor))
            twice = builder.emit_output(relax.call_tir(kernel, [once], tensor))
        builder.emit_func_output(twice)
    module = builder.get()
    profile = load_profile("local")
    for one in LOWERING_PASSES:
        module = one.make(profile)(module)
    assert [variable.name_hint for variable in module.get_global_vars()] == ["kernel", "main"]
    # The tensor between the two calls, and the rows of one of them.
    assert int(module["main"].attrs["edgetvm.peak_activation_bytes"]) == 2 * 4 * size * size
    library = relax.build(
        module, target_for(profile), relax_pipeline=None, tir_pipeline=kernel_pipeline()
    )
    array = np.random.default_rng(1).standard_normal((size, size), np.float32)
    found = relax.VirtualMachine(library, tvm.cpu())["main"](tvm.runtime.tensor(array)).numpy()
    expected = 8 * (array + array.T)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    kernels = library.mod.imports[0].inspect_source()
    assert "load ptr, ptr @__TVMBackendAllocWorkspace" not in kernels


def test_scratch_memory_that_the_stack_holds_stays_there() -> None:
    from tvm import IRModule, te

    x = te.placeholder((8, 8), name="x")
    rows = te.compute((8, 8), lambda i, j: x[i, j] * 2.0, name="rows")
    y = te.compute((8, 8), lambda i, j: rows[j, i], name="y")
    module = IRModule({"kernel": te.create_prim_func([x, y])})
    assert scratch_as_arguments(module)["kernel"].params[2:] == []
