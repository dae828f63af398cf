"""Compiled models: their answers, their libraries, and what stops the compiler."""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from made_models import value, write
from numpy.typing import NDArray
from onnx import NodeProto, helper
from onnx.reference import ReferenceEvaluator

from edgetvm.base.errors import CompileError
from edgetvm.base.paths import shipped_folder
from edgetvm.boards import load_profile
from edgetvm.compile import PASSES, compile_model
from edgetvm.compile import compiler as compiler_module
from edgetvm.compile.compiler import optimise
from edgetvm.models import import_model
from edgetvm.models.fills import fill
from edgetvm.package import Executor

SHIPPED = sorted(path.stem for path in shipped_folder("devices").glob("*.yaml"))


def node(kind: str, inputs: str, output: str = "y", **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def weights(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


I64 = np.int64
IMAGE = {"x": (1, 4, 9, 7)}
# Nodes, shapes of the inputs, constants.
OPERATORS: dict[
    str, tuple[list[NodeProto], dict[str, tuple[int, ...]], dict[str, NDArray[np.generic]]]
] = {
    "add": ([node("Add", "x z")], {"x": (2, 3), "z": (1, 3)}, {}),
    "div": ([node("Div", "x c")], {"x": (2, 3)}, {"c": weights(3) + 4}),
    "matmul": ([node("MatMul", "x w")], {"x": (5, 17)}, {"w": weights(17, 13)}),
    "batched-matmul": ([node("MatMul", "x z")], {"x": (2, 3, 4), "z": (2, 4, 5)}, {}),
    "gemm-transposed": (
        [node("Gemm", "x w b", transB=1, alpha=0.5)],
        {"x": (3, 8)},
        {"w": weights(6, 8), "b": weights(6)},
    ),
    "conv": ([node("Conv", "x w")], IMAGE, {"w": weights(6, 4, 3, 3)}),
    "conv-bias-relu": (
        [node("Conv", "x w b", "h", pads=[1, 1, 1, 1], strides=[2, 2]), node("Relu", "h")],
        IMAGE,
        {"w": weights(16, 4, 3, 3), "b": weights(16)},
    ),
    "conv-dilated": ([node("Conv", "x w", dilations=[2, 2])], IMAGE, {"w": weights(2, 4, 3, 3)}),
    "conv-depthwise": (
        [node("Conv", "x w", group=4, pads=[1, 1, 1, 1])],
        IMAGE,
        {"w": weights(4, 1, 3, 3)},
    ),
    "conv-grouped": ([node("Conv", "x w", group=2)], IMAGE, {"w": weights(6, 2, 1, 1)}),
    "conv-uneven-pads": (
        [node("Conv", "x w", pads=[0, 1, 2, 0])],
        IMAGE,
        {"w": weights(3, 4, 2, 3)},
    ),
    "conv-1d": ([node("Conv", "x w", pads=[1, 1])], {"x": (1, 3, 20)}, {"w": weights(5, 3, 3)}),
    "conv-transposed": (
        [node("ConvTranspose", "x w", strides=[2, 2])],
        IMAGE,
        {"w": weights(4, 3, 2, 2)},
    ),
    "max-pool": ([node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2])], IMAGE, {}),
    "average-pool": (
        [node("AveragePool", "x", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=0)],
        IMAGE,
        {},
    ),
    "batch-norm": (
        [node("BatchNormalization", "x a b m v")],
        IMAGE,
        {"a": weights(4), "b": weights(4), "m": weights(4), "v": weights(4) ** 2 + 1},
    ),
    "layer-norm": (
        [node("LayerNormalization", "x a b")],
        {"x": (2, 3, 16)},
        {"a": weights(16), "b": weights(16)},
    ),
    "softmax": ([node("Softmax", "x", axis=1)], {"x": (2, 50)}, {}),
    "sigmoid": ([node("Sigmoid", "x")], {"x": (3, 5)}, {}),
    "tanh": ([node("Tanh", "x")], {"x": (3, 5)}, {}),
    "erf": ([node("Erf", "x")], {"x": (3, 5)}, {}),
    "hard-swish": ([node("HardSwish", "x")], {"x": (3, 5)}, {}),
    "leaky-relu": ([node("LeakyRelu", "x", alpha=0.1)], {"x": (3, 5)}, {}),
    "exp-log-sqrt": (
        [node("Exp", "x", "a"), node("Log", "a", "b"), node("Sqrt", "b")],
        {"x": (3, 5)},
        {},
    ),
    "pow": ([node("Pow", "x c")], {"x": (3, 5)}, {"c": np.array(2.5, np.float32)}),
    "reduce-mean": ([node("ReduceMean", "x", axes=[2, 3], keepdims=0)], IMAGE, {}),
    "reduce-max": ([node("ReduceMax", "x", axes=[1])], IMAGE, {}),
    "transpose": ([node("Transpose", "x", perm=[0, 2, 3, 1])], IMAGE, {}),
    "reshape": ([node("Reshape", "x s")], {"x": (2, 6)}, {"s": np.array([3, -1], I64)}),
    "concat": ([node("Concat", "x z", axis=1)], {"x": (2, 3), "z": (2, 2)}, {}),
    "slice": (
        [node("Slice", "x b e a")],
        {"x": (4, 6)},
        {"b": np.array([1], I64), "e": np.array([-1], I64), "a": np.array([1], I64)},
    ),
    "pad": ([node("Pad", "x p")], {"x": (2, 3)}, {"p": np.array([0, 1, 1, 2], I64)}),
    "resize": (
        [node("Resize", "x  s", mode="nearest", coordinate_transformation_mode="asymmetric",
              nearest_mode="floor")],
        IMAGE,
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "clip": (
        [node("Clip", "x lo hi")],
        {"x": (3, 5)},
        {"lo": np.array(0.2, np.float32), "hi": np.array(0.7, np.float32)},
    ),
    "where": (
        [node("Greater", "x z", "c"), node("Where", "c x z")],
        {"x": (3, 5), "z": (3, 5)},
        {},
    ),
    "gather": (
        [node("Gather", "x i", axis=1)],
        {"x": (3, 5)},
        {"i": np.array([4, 0, -1], I64)},
    ),
    "scalar-input": ([node("Mul", "x s")], {"x": (3,), "s": ()}, {}),
    "concat-rows": ([node("Concat", "x z", axis=0)], {"x": (2, 3), "z": (1, 3)}, {}),
}  # fmt: skip
# An absent optional input has an empty name.
OPERATORS["resize"][0][0].input[:] = ["x", "", "s"]


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_answers_as_onnxruntime_does(name: str, tmp_path: Path) -> None:
    nodes, shapes, constants = OPERATORS[name]
    inputs = [value(one, shape) for one, shape in shapes.items()]
    path = write(tmp_path / "m.onnx", nodes, inputs, [helper.make_empty_tensor_value_info("y")],
                 constants)  # fmt: skip
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    # ONNX Runtime works the output's shape out; edgetvm wants it declared.
    random = np.random.default_rng(1)
    arrays = {one: random.random(shape, np.float32) for one, shape in shapes.items()}
    (expected,) = session.run(None, arrays)
    write(path, nodes, inputs, [value("y", expected.shape)], constants)
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    assert artifact.signature.outputs[0].shape == expected.shape
    found = Executor(artifact.library, artifact.signature).run(arrays)["y"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_integers_and_odd_names_answer_as_onnxruntime_does(
    integers_onnx: Path, odd_names_onnx: Path
) -> None:
    for path in (integers_onnx, odd_names_onnx):
        model = import_model(path)
        artifact = compile_model(model, load_profile("local"))
        inputs = fill(model.signature, "random", 7)
        expected = onnxruntime.InferenceSession(str(path)).run(None, inputs)
        found = Executor(artifact.library, artifact.signature).run(inputs)
        assert list(found) == [spec.name for spec in model.signature.outputs]
        for mine, other in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6)


# ELF: e_ident[4] (1: 32 bits, 2: 64 bits), e_ident[5] (1: little-endian), e_type, e_machine.
MACHINES = {"x86_64": (2, 62), "aarch64": (2, 183), "armv7l": (1, 40)}

# The C library's and libm's; TVM's runtime; and the unwinder's of 32-bit ARM.
LIBM = "exp expf tanh tanhf erf erff pow powf log logf sin sinf cos cosf round roundf floor floorf"
ALLOWED = {*LIBM.split(), "memset", "memcpy", "memmove", "__aeabi_unwind_cpp_pr0"}
ALLOWED |= {"__aeabi_memset", "__aeabi_memcpy", "__aeabi_memclr4", "__aeabi_memclr"}
ALLOWED |= {"__aeabi_memset8", "__aeabi_memclr8", "__aeabi_memcpy4", "__aeabi_memcpy8"}


def undefined_symbols(library: bytes) -> set[str]:
    """Names of the dynamic symbols that a library leaves to others, by the ELF specification."""
    wide = library[4] == 2
    table, count = (
        (struct.unpack_from("<Q", library, 40)[0], struct.unpack_from("<H", library, 60)[0])
        if wide
        else (struct.unpack_from("<I", library, 32)[0], struct.unpack_from("<H", library, 48)[0])
    )
    sections = []
    for index in range(count):
        if wide:
            kind = struct.unpack_from("<I", library, table + 64 * index + 4)[0]
            offset, size, link = struct.unpack_from("<QQI", library, table + 64 * index + 24)
        else:
            kind = struct.unpack_from("<I", library, table + 40 * index + 4)[0]
            offset, size, link = struct.unpack_from("<III", library, table + 40 * index + 16)
        sections.append((kind, offset, size, link))
    names = set()
    for kind, offset, size, link in sections:
        if kind != 11:  # SHT_DYNSYM
            continue
        strings = sections[link][1]
        for at in range(offset, offset + size, 24 if wide else 16):
            name, section = (
                struct.unpack_from("<I2xH", library, at)
                if wide
                else struct.unpack_from("<I10xH", library, at)
            )
            if section == 0 and name:
                end = library.index(b"\0", strings + name)
                names.add(library[strings + name : end].decode())
    return names


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_gets_a_library_of_its_own_machine(
    name: str, tiny_onnx: Path
) -> None:
    profile = load_profile(name)
    model = import_model(tiny_onnx)
    artifact = compile_model(model, profile)
    library = artifact.library
    bits, machine = MACHINES[profile.architecture]
    assert library[:4] == b"\x7fELF"
    assert (library[4], library[5]) == (bits, 1)
    assert struct.unpack_from("<HH", library, 16) == (3, machine)
    if machine == 40:
        flags = struct.unpack_from("<I", library, 36)[0]
        assert flags >> 24 == 5  # EABI version 5
        assert flags & 0x400  # EF_ARM_ABI_FLOAT_HARD
    left = {one for one in undefined_symbols(library) if not one.startswith("TVMFFI")}
    assert left <= ALLOWED
    assert compile_model(model, profile).library == library
    assert artifact.profile == profile
    assert artifact.signature == model.signature


def test_what_libm_gives_is_left_to_it(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", [node("Sin", "x")], [value("x", [9])], [value("y", [9])])
    for name in SHIPPED:
        library = compile_model(import_model(path), load_profile(name)).library
        left = {one for one in undefined_symbols(library) if not one.startswith("TVMFFI")}
        assert left <= ALLOWED


def test_the_kernel_table_is_complete(tmp_path: Path) -> None:
    from tvm import tirx

    # Two equal convolutions share a kernel. They have channels enough to lie last.
    nodes = [
        node("Conv", "x w", "a", pads=[2, 2, 2, 2]),
        node("Conv", "a w", "b", pads=[2, 2, 2, 2]),
        node("Softmax", "b", axis=1),
    ]
    shape = [1, 48, 6, 6]
    path = write(
        tmp_path / "m.onnx",
        nodes,
        [value("x", shape)],
        [value("y", shape)],
        {"w": weights(48, 48, 5, 5)},
    )
    model = import_model(path)
    profile = load_profile("local")
    artifact = compile_model(model, profile)
    functions = optimise(model, profile).functions
    expected = {
        variable.name_hint
        for variable, function in functions.items()
        if isinstance(function, tirx.PrimFunc)
    }
    calls = {kernel.name: kernel.calls for kernel in artifact.kernels}
    assert set(calls) == expected
    # Channels lie last for the convolutions, first for the caller.
    assert calls == {"transpose": 1, "conv": 2, "transpose1": 1, "softmax": 1}
    for kernel in artifact.kernels:
        assert kernel.schedule == "default"
        assert kernel.rule
        assert kernel.name.encode() in artifact.library


def test_titles_of_passes_are_unique_and_in_words() -> None:
    titles = [one.title for one in PASSES]
    assert len(set(titles)) == len(titles)
    assert all(title == title.strip() and title for title in titles)


def test_a_pass_that_fails_is_named_with_those_before_it(
    tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Callable[[object], object]:
        def fail(module: object) -> object:
            raise TypeError("first line\nwhat is wrong")

        return fail

    passes = list(compiler_module.KERNEL_PASSES)
    passes[2] = replace(passes[2], make=broken)
    monkeypatch.setattr(compiler_module, "KERNEL_PASSES", tuple(passes))
    with pytest.raises(CompileError) as caught:
        compile_model(import_model(tiny_onnx), load_profile("local"))
    assert caught.value.where == "tiny"
    assert caught.value.what == f"the pass {passes[2].title!r} failed: what is wrong"
    assert passes[0].title in (caught.value.mend or "")
    assert passes[1].title in (caught.value.mend or "")
    assert passes[3].title not in (caught.value.mend or "")


def test_a_model_without_a_kernel_compiles_or_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", [node("Identity", "x")], [value("x", [3])], [value("y", [3])])
    model = import_model(path)
    try:
        artifact = compile_model(model, load_profile("local"))
    except CompileError as error:
        assert str(error)
        return
    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(
        Executor(artifact.library, artifact.signature).run({"x": x})["y"], x
    )


def test_the_local_library_is_of_this_machine(tiny_onnx: Path) -> None:
    artifact = compile_model(import_model(tiny_onnx), load_profile("local"))
    assert artifact.profile.architecture == platform.machine()


def test_rotary_embedding(tmp_path: Path) -> None:
    """LLVM vectorised it over the end of a row that repeats, with AVX-512."""
    heads = {"num_heads": 4, "rotary_embedding_dim": 8}
    node_of = helper.make_node("RotaryEmbedding", ["x", "cos", "sin", "at"], ["y"], **heads)
    shapes = {"x": (2, 3, 32), "cos": (50, 4), "sin": (50, 4)}
    inputs = [value(name, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(
        [node_of], "rotary", [*inputs, value("at", (2, 3), "INT64")], [value("y", (2, 3, 32))]
    )
    opsets = [helper.make_opsetid("", 23)]
    path = tmp_path / "rotary.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    random = np.random.default_rng(3)
    arrays: dict[str, NDArray[np.generic]] = {
        name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()
    }
    arrays["at"] = random.integers(0, 50, (2, 3))
    model = import_model(path)
    artifact = compile_model(model, load_profile("local"))
    found = Executor(artifact.library, artifact.signature).run(arrays)["y"]
    (expected,) = ReferenceEvaluator(str(path)).run(None, dict(arrays))
    np.testing.assert_allclose(found, expected, atol=1e-5)
