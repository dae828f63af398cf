"""Models as native programs: the same answers as by TVM's virtual machine, to the last bit."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from made_models import value, write, write_tiny
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions, compile_model
from edgetvm.compile.native.build import build_native
from edgetvm.compile.native.kernels import build_kernels
from edgetvm.compile.native.program import Call, Place, Program
from edgetvm.compile.target import target_for
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.models.model import Signature, TensorSpec
from edgetvm.package.executor import Executor


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def weights(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def is_native(library: bytes) -> bool:
    return b"edgetvm_block_bytes" in library


def ring(path: Path) -> Path:
    """A stream: what was heard last is kept beside the new."""
    nodes = [
        node("Concat", "kept x", "all", axis=1),
        node("Slice", "all first last axis", "next"),
        node("Conv", "rows w b", "sums"),
        node("Transpose", "all", "rows", perm=[0, 2, 1]),
        node("Relu", "sums", "y"),
    ]
    constants = {
        "w": weights(8, 16, 5),
        "b": weights(8),
        "first": np.array([1], np.int64),
        "last": np.array([5], np.int64),
        "axis": np.array([1], np.int64),
    }
    inputs = [value("kept", [1, 4, 16]), value("x", [1, 1, 16])]
    outputs = [value("y", [1, 8, 1]), value("next", [1, 4, 16])]
    return write(path, [nodes[i] for i in (0, 1, 3, 2, 4)], inputs, outputs, constants)


def images(path: Path) -> Path:
    """Large enough for all cores, with a tensor that is staged."""
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b v", "c", pads=[1, 1, 1, 1], group=32),
        node("Softmax", "c", "y", axis=1),
    ]
    constants = {"w": weights(32, 16, 3, 3), "v": weights(32, 1, 3, 3)}
    inputs, outputs = [value("x", [1, 16, 48, 48])], [value("y", [1, 32, 48, 48])]
    return write(path, nodes, inputs, outputs, constants)


def sequence(path: Path) -> Path:
    """Its kernel declares its tensors' offsets itself."""
    constants = {"w": weights(1, 64, 12), "r": weights(1, 64, 16)}
    outputs = [value("y", [5, 1, 1, 16]), value("h", [1, 1, 16])]
    nodes = [node("LSTM", "x w r", "y h", hidden_size=16)]
    return write(path, nodes, [value("x", [5, 1, 12])], outputs, constants)


@pytest.mark.parametrize("make", [ring, images, sequence, write_tiny])
def test_answers_are_those_of_the_virtual_machine(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = make(tmp_path / "m.onnx")
    model = import_model(path)
    profile = dataclasses.replace(load_profile("local"), cores=2)
    native = compile_model(model, profile)
    machine = compile_model(model, profile, native=False)
    assert is_native(native.library)
    assert not is_native(machine.library)
    assert (b"TVMBackendParallelLaunch" in native.library) == (make is images)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    runs = [Executor(one.library, one.signature) for one in (native, machine)]
    for seed in (1, 2):
        inputs = fill(model.signature, "random", seed)
        found, expected = (one.run(inputs) for one in runs)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
        for spec, array in zip(session.get_outputs(), session.run(None, dict(inputs)), strict=True):
            np.testing.assert_allclose(found[spec.name], array, rtol=1e-3, atol=1e-5)


def test_a_stream_keeps_its_state(tmp_path: Path) -> None:
    model = import_model(ring(tmp_path / "m.onnx"))
    artifact = compile_model(model, load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    chunks = np.random.default_rng(3).standard_normal((7, 1, 1, 16), np.float32)
    kept = np.zeros((1, 4, 16), np.float32)
    for index, chunk in enumerate(chunks):
        found = executor.run({"kept": kept, "x": chunk})
        kept = found["next"]
        heard = chunks[max(0, index - 3) : index + 1, 0, 0]
        np.testing.assert_array_equal(kept[0, 4 - len(heard) :], heard)


def test_every_kernel_can_be_timed_by_itself(tmp_path: Path) -> None:
    model = import_model(images(tmp_path / "m.onnx"))
    artifact = compile_model(model, load_profile("local"))
    executor = Executor(artifact.library, artifact.signature)
    inputs = fill(model.signature, "random")
    expected = executor.run(inputs)["y"]
    executor.set_inputs({"x": np.zeros_like(inputs["x"])})
    executor.run_ns()
    executor.set_inputs(inputs)
    calls = executor.timed_calls()
    assert [one.name for one in calls] == [kernel.name for kernel in artifact.kernels]
    assert sum(one.ns for one in calls) > 0
    np.testing.assert_array_equal(executor.outputs()["y"], expected)


def shared_outputs(path: Path) -> Path:
    """Outputs that are an input, a view of one, another output, a view of that, and a constant."""
    nodes = [
        node("Relu", "x", "y"),
        node("Identity", "x", "input"),
        node("Reshape", "x shape", "viewed"),
        node("Identity", "y", "twice"),
        node("Reshape", "y shape", "seen"),
        node("Identity", "c", "constant"),
    ]
    names = {"y": [2, 8], "input": [2, 8], "viewed": [4, 4], "twice": [2, 8], "seen": [4, 4]}
    outputs = [value(name, shape) for name, shape in {**names, "constant": [3]}.items()]
    constants = {"shape": np.array([4, 4]), "c": weights(3)}
    return write(path, nodes, [value("x", [2, 8])], outputs, constants)


def test_outputs_that_are_no_tensors_of_their_own_are_copied(tmp_path: Path) -> None:
    path = shared_outputs(tmp_path / "m.onnx")
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert is_native(artifact.library)
    x = weights(2, 8)
    found = Executor(artifact.library, artifact.signature).run({"x": x})
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for spec, array in zip(session.get_outputs(), session.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(found[spec.name], array)


def test_a_branch_is_left_to_the_virtual_machine(tmp_path: Path) -> None:
    path = tmp_path / "m.relay"
    path.write_text(
        """#[version = "0.0.5"]
        def @main(%x: Tensor[(2, 8), float32]) {
          if (greater(sum(%x), 1f)) { tanh(%x) } else { nn.relu(%x) }
        }"""
    )
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert not is_native(artifact.library)
    executor = Executor(artifact.library, artifact.signature)
    (found,) = executor.run({"x": np.full((2, 8), -1, np.float32)}).values()
    np.testing.assert_array_equal(found, np.zeros((2, 8)))
    assert any(call.name.startswith("vm.builtin.") for call in executor.timed_calls())


def test_level_0_is_left_to_the_virtual_machine(tmp_path: Path) -> None:
    model = import_model(write_tiny(tmp_path / "m.onnx"))
    artifact = compile_model(model, load_profile("local"), options=CompileOptions(0))
    assert not is_native(artifact.library)


def kernels_by_hand() -> dict[str, Any]:
    """One doubles, the other one adds and refuses what is not positive."""
    from tvm.script import tirx as T

    @T.prim_func(s_tir=True)
    def double(x: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")) -> None:
        T.func_attr({"tirx.noalias": True})
        for i in range(4):
            with T.sblock("double"):
                v = T.axis.spatial(4, i)
                y[v] = x[v] * T.float32(2)

    @T.prim_func(s_tir=True)
    def add(
        x: T.Buffer((4,), "float32"), c: T.Buffer((4,), "float32"), y: T.Buffer((4,), "float32")
    ) -> None:
        T.func_attr({"tirx.noalias": True})
        assert x[0] > T.float32(0), "the first element is not positive"
        for i in range(4):
            with T.sblock("add"):
                v = T.axis.spatial(4, i)
                y[v] = x[v] + c[v]

    return {"double": double, "add": add}


def by_hand() -> tuple[bytes, Signature]:
    """`y = 2 * x + c` in two kernels, the second of which refuses what is not positive."""
    import tvm

    constant = np.array([1, 2, 3, 4], np.float32)
    program = Program(
        calls=(
            Call("double", (Place(1, 0), Place(0, 64))),
            Call("add", (Place(0, 64), Place(None, 64), Place(2, 0))),
        ),
        block_bytes=(128, 16, 16),
        constants=(np.zeros(3, np.uint8), constant.view(np.uint8)),
    )
    module = tvm.IRModule(kernels_by_hand())
    target = target_for(load_profile("local"))
    tensor = TensorSpec("x", (4,), "float32")
    signature = Signature((tensor,), (dataclasses.replace(tensor, name="y"),))
    return build_native(program, module, target, CompileOptions().level), signature


def test_a_kernel_that_fails_ends_the_run_in_its_words() -> None:
    executor = Executor(*by_hand())
    with pytest.raises(RuntimeError, match="the first element is not positive"):
        executor.run({"x": np.array([-1, 2, 3, 4], np.float32)})
    found = executor.run({"x": np.array([1, 2, 3, 4], np.float32)})
    np.testing.assert_array_equal(found["y"], [3, 6, 9, 12])


def test_kernels_of_one_library_can_be_called_one_by_one(tmp_path: Path) -> None:
    from tvm import runtime

    library = build_kernels(
        kernels_by_hand(), target_for(load_profile("local")), CompileOptions().level
    )
    (tmp_path / "kernels.so").write_bytes(library)
    module = runtime.load_module(str(tmp_path / "kernels.so"))
    x, c, y = (runtime.tensor(np.array([k, 2, 3, 4], np.float32)) for k in (1, -5, 0))
    module["double"](x, y)
    np.testing.assert_array_equal(y.numpy(), [2, 4, 6, 8])
    module["add"](x, c, y)
    np.testing.assert_array_equal(y.numpy(), [-4, 4, 6, 8])
    with pytest.raises(RuntimeError, match="the first element is not positive"):
        module["add"](c, x, y)


def test_a_program_in_c_can_call_it(tmp_path: Path) -> None:
    path = tmp_path / "model.so"
    path.write_bytes(by_hand()[0])
    library = ctypes.CDLL(str(path))
    count = ctypes.c_int32.in_dll(library, "edgetvm_blocks").value
    sizes = list((ctypes.c_int64 * count).in_dll(library, "edgetvm_block_bytes"))
    assert sizes == [128, 16, 16]
    memory = np.zeros(512, np.uint8)
    begin = -memory.ctypes.data % 64
    places = [begin, begin + 128, begin + 192]
    memory[places[1] :][:16] = np.array([1, 2, 3, 4], np.float32).view(np.uint8)
    blocks = (ctypes.c_void_p * count)(*(memory.ctypes.data + place for place in places))
    calls = ctypes.c_int32.in_dll(library, "edgetvm_calls").value
    assert library.edgetvm_run(blocks, 0, 1) == 0
    assert not memory[places[2] :].any()
    assert library.edgetvm_run(blocks, 1, calls) == 0
    np.testing.assert_array_equal(memory[places[2] :][:16].view(np.float32), [3, 6, 9, 12])


@pytest.mark.parametrize(("board", "machine"), [("rpi4", 0xB7), ("qemu-armv7", 0x28)])
def test_it_is_linked_for_other_architectures(board: str, machine: int, tmp_path: Path) -> None:
    model = import_model(ring(tmp_path / "m.onnx"))
    library = compile_model(model, load_profile(board)).library
    assert is_native(library)
    assert int.from_bytes(library[18:20], "little") == machine
