"""Convolutions and products of 8-bit integers, exact, whatever instruction sums them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from compiled import check, checked, graph, random
from emulated import compiled_kernels, emulated, kernels_for
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgetvm.boards import BoardProfile, load_profile
from edgetvm.compile.integers import integer_weights
from edgetvm.compile.kernels.rounding import Settling, rounded_sums
from edgetvm.compile.options import CompileOptions, Layout
from edgetvm.compile.schedules import schedule_module
from edgetvm.compile.target import target_for

# name: data, weights HWIO, strides, dilations, border (top, bottom, left, right)
CONVOLUTIONS = {
    "pointwise": ((1, 9, 11, 32), (1, 1, 32, 48), (1, 1), (1, 1), (0, 0, 0, 0)),
    "first layer": ((1, 17, 19, 3), (3, 3, 3, 8), (2, 2), (1, 1), (0, 1, 0, 1)),
    "one channel": ((1, 20, 13, 1), (10, 4, 1, 64), (2, 2), (1, 1), (4, 5, 1, 1)),
    "odd channels": ((2, 7, 8, 18), (3, 3, 18, 37), (1, 1), (1, 1), (1, 1, 1, 1)),
    "dilated": ((1, 12, 12, 6), (3, 3, 6, 20), (1, 1), (2, 2), (2, 2, 2, 2)),
    "one feature": ((1, 6, 6, 40), (1, 1, 40, 1), (1, 1), (1, 1), (0, 0, 0, 0)),
    "one element": ((1, 1, 1, 64), (1, 1, 64, 10), (1, 1), (1, 1), (0, 0, 0, 0)),
}


def summed(
    data: NDArray[np.generic],
    weights: NDArray[np.generic],
    form: tuple[tuple[int, ...], ...],
    value: int,
) -> NDArray[np.int64]:
    """The convolution by its definition, in 64 bits."""
    strides, dilations, (top, bottom, left, right) = form
    padded = np.pad(
        data.astype(np.int64),
        ((0, 0), (top, bottom), (left, right), (0, 0)),
        constant_values=value,
    )
    rows, columns = weights.shape[:2]
    height = (padded.shape[1] - dilations[0] * (rows - 1) - 1) // strides[0] + 1
    width = (padded.shape[2] - dilations[1] * (columns - 1) - 1) // strides[1] + 1
    result = np.zeros((data.shape[0], height, width, weights.shape[-1]), np.int64)
    for y in range(rows):
        for x in range(columns):
            part = padded[:, y * dilations[0] :, x * dilations[1] :]
            part = part[:, : height * strides[0] : strides[0], : width * strides[1] : strides[1]]
            result += part[:, :height, :width] @ weights[y, x].astype(np.int64)
    return result


def profiles() -> list[BoardProfile]:
    """Boards whose code runs here, one for each instruction that this machine has."""
    return [load_profile(name) for name in ("local", "x86-avx2", "x86-64")]


def scheduled(
    profile: BoardProfile,
    data: NDArray[np.generic],
    weights: NDArray[np.generic],
    form: tuple[tuple[int, ...], ...],
    groups: int = 1,
) -> tuple[Any, set[str]]:
    """The convolution as kernels for a board, and the rules that scheduled them."""
    from tvm import relax

    strides, dilations, border = form
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(data.shape, str(data.dtype)))
    top, bottom, left, right = border
    with builder.function("main", [x]):
        with builder.dataflow():
            bordered = x
            if any(border):
                widths = [0, 0, top, bottom, left, right, 0, 0]
                bordered = builder.emit(relax.op.nn.pad(x, widths, "constant", 7.0))
            convolution = relax.op.nn.conv2d(
                bordered,
                relax.const(weights, str(weights.dtype)),
                strides=strides,
                dilation=dilations,
                groups=groups,
                data_layout="NHWC",
                kernel_layout="HWIO",
                out_dtype="int32",
            )
            result = builder.emit_output(convolution)
        builder.emit_func_output(result)
    return kernels_for(builder.get(), profile)


def bytes_like(dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Bytes of the whole range."""
    limits = np.iinfo(dtype)
    chance = np.random.default_rng(3)
    return chance.integers(limits.min, limits.max + 1, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_exact(name: str, profile: BoardProfile, dtype: str) -> None:
    import tvm
    from tvm import relax

    shape, taps, *form = CONVOLUTIONS[name]
    data = bytes_like(dtype, shape)
    # Unsigned weights less their zero point take 9 bits.
    kernel = np.random.default_rng(4).integers(-127, 128, taps) + (0 if dtype == "int8" else 60)
    weights = kernel.astype("int8" if dtype == "int8" else "int16")
    module, rules = scheduled(profile, data, weights, tuple(form))
    assert "register tile" in rules
    executable = relax.build(module, target_for(profile))
    machine = relax.VirtualMachine(executable, tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(data)).numpy()
    np.testing.assert_array_equal(found, summed(data, weights, tuple(form), 7))


def on_arm(name: str) -> BoardProfile:
    """One core of a board."""
    return dataclasses.replace(load_profile(name), cores=1)


@pytest.mark.parametrize(
    ("board", "name", "dtype"),
    [
        ("rpi4", "pointwise", "int8"),
        ("rpi4", "first layer", "uint8"),
        ("rpi4", "one channel", "int8"),
        ("rpi4", "odd channels", "int8"),
        ("rpi4", "one element", "uint8"),
        ("rpi3-32", "pointwise", "int8"),
        ("rpi3-32", "odd channels", "uint8"),
        ("rpi5", "pointwise", "int8"),
        ("rpi5", "odd channels", "uint8"),
        ("orion-o6", "pointwise", "int8"),
        ("orion-o6", "pointwise", "uint8"),
        ("orion-o6", "first layer", "uint8"),
        ("orion-o6", "one channel", "int8"),
        ("orion-o6", "odd channels", "int8"),
        ("orion-o6", "dilated", "uint8"),
        ("orion-o6", "one feature", "int8"),
        ("orion-o6", "one element", "int8"),
    ],
)
def test_a_convolution_is_exact_on_arm(board: str, name: str, dtype: str, tmp_path: Path) -> None:
    profile = on_arm(board)
    shape, taps, *form = CONVOLUTIONS[name]
    data = bytes_like(dtype, shape)
    weights = np.random.default_rng(4).integers(-127, 128, taps).astype("int8")
    module, rules = scheduled(profile, data, weights, tuple(form))
    assert "register tile" in rules
    found = emulated(module, profile, data, tmp_path)
    np.testing.assert_array_equal(found, summed(data, weights, tuple(form), 7))


def test_unsigned_data_are_taken_as_they_are_where_the_core_does(tmp_path: Path) -> None:
    board = on_arm("rpi5")
    profile = dataclasses.replace(board, features=(*board.features, "+i8mm"))
    form = ((1, 1), (1, 1), (0, 0, 0, 0))
    data = bytes_like("uint8", (1, 3, 5, 32))
    weights = np.random.default_rng(4).integers(-128, 128, (1, 1, 32, 8)).astype("int8")
    module, _ = scheduled(profile, data, weights, form)
    assert not [one for one in module.get_global_vars() if one.name_hint.startswith("stage")]
    found = emulated(module, profile, data, tmp_path)
    np.testing.assert_array_equal(found, summed(data, weights, form, 0))


def assembly(module: Any, profile: BoardProfile) -> str:
    """The code of a module's kernels."""
    told = compiled_kernels(module, profile).inspect_source("asm")
    raising = r"^__tvm_set_raised\w*:.*?^\.Lfunc_end"
    return re.sub(raising, "", told, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("dtype", "columns", "channels", "instruction"),
    [
        ("int8", 49, 64, "smmla"),
        ("uint8", 49, 64, "usmmla"),
        ("int8", 7, 40, "smmla"),
        # Half of what the instruction does would be for nothing.
        ("int8", 1, 64, "sdot"),
        ("int8", 49, 4, "sdot"),
    ],
)
def test_two_points_are_taken_at_once_where_that_is_less(
    dtype: str, columns: int, channels: int, instruction: str
) -> None:
    profile, form = on_arm("orion-o6"), ((1, 1), (1, 1), (0, 0, 0, 0))
    data = bytes_like(dtype, (1, 1, columns, channels))
    weights = np.random.default_rng(4).integers(-128, 128, (1, 1, channels, 32)).astype("int8")
    module, _ = scheduled(profile, data, weights, form)
    code = assembly(module, profile)
    found = set(re.findall(r"\bu?s(?:mmla|dot)\b", code))
    assert found == {instruction}
    assert not re.findall(r"\bst[rp]\s+q\d+.*\[sp", code)


@pytest.mark.parametrize(
    ("dtype", "shape", "features"),
    [("int8", (13, 64), 24), ("uint8", (2, 3, 21), 10), ("int8", (1, 40), 17)],
)
def test_a_product_is_exact_on_arm(
    dtype: str, shape: tuple[int, ...], features: int, tmp_path: Path
) -> None:
    from tvm import relax

    profile = on_arm("orion-o6")
    data = bytes_like(dtype, shape)
    weights = np.random.default_rng(4).integers(-128, 128, (shape[-1], features)).astype("int8")
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, dtype))
    with builder.function("main", [x]):
        with builder.dataflow():
            product = relax.op.matmul(x, relax.const(weights), out_dtype="int32")
            result = builder.emit_output(product)
        builder.emit_func_output(result)
    module, rules = kernels_for(builder.get(), profile)
    assert "register tile" in rules
    found = emulated(module, profile, data, tmp_path)
    np.testing.assert_array_equal(found, data.astype(np.int64) @ weights.astype(np.int64))


def test_bytes_become_bytes_on_an_arm_core_that_takes_two_points(tmp_path: Path) -> None:
    """A border, rows of odd length, zero points, and a scale and a zero point of each feature."""
    from edgetvm.compile.compiler import optimise
    from edgetvm.models import import_model

    chance, profile = np.random.default_rng(5), on_arm("orion-o6")
    data = bytes_like("int8", (1, 12, 9, 11))
    weights = chance.integers(-100, 101, (20, 12, 3, 3)).astype(np.int8)
    zeros = chance.integers(-20, 21, 20).astype(np.int8)
    bias = chance.integers(-9000, 9000, 20).astype(np.int32)
    scales = chance.uniform(0.001, 0.004, 20).astype(np.float32)
    constants = {
        "sx": np.float32(0.5),
        "zx": np.int8(-7),
        "w": weights,
        "sw": scales,
        "zw": zeros,
        "sy": np.float32(1.0),
        "zy": np.int8(9),
        "b": bias,
        "sb": scales * np.float32(0.5),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["dx"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "sb"], ["db"], axis=0),
        helper.make_node("Conv", ["dx", "dw", "db"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zy"], ["out"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT8, data.shape)],
        [helper.make_tensor_value_info("out", TensorProto.INT8, (1, 20, 9, 11))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "m.onnx",
    )
    module, _ = schedule_module(optimise(import_model(tmp_path / "m.onnx"), profile), profile)
    assert "smmla" in assembly(module, profile)
    found = emulated(module, profile, data, tmp_path)
    centred = data.transpose(0, 2, 3, 1).astype(np.int64) + 7
    form = ((1, 1), (1, 1), (1, 1, 1, 1))
    kernel = weights.transpose(2, 3, 1, 0).astype(np.int64) - zeros
    sums = summed(centred, kernel, form, 0) + bias
    exact = np.rint(sums.astype(np.float32) * (scales * np.float32(0.5))) + 9
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), np.clip(exact, -128, 127))


@pytest.mark.parametrize("board", ["rpi4", "rpi3-32"])
def test_the_smallest_bytes_do_not_overflow_on_arm(board: str, tmp_path: Path) -> None:
    """Two products of -128 by -128 do not fit in 16 bits."""
    profile, form = on_arm(board), ((1, 1), (1, 1), (0, 0, 0, 0))
    data, weights = np.full((1, 2, 5, 32), -128, np.int8), np.full((1, 1, 32, 8), -128, np.int8)
    module, _ = scheduled(profile, data, weights, form)
    found = emulated(module, profile, data, tmp_path)
    np.testing.assert_array_equal(found, summed(data, weights, form, 0))


@pytest.mark.parametrize(
    ("board", "dtype", "channels", "taps", "strides", "lowest"),
    [
        ("rpi4", "int8", 24, (3, 3), (1, 1), -127),
        ("rpi4", "uint8", 20, (3, 3), (2, 2), -127),
        ("rpi4", "int8", 5, (9, 1), (1, 1), -128),
        ("rpi3-32", "int8", 20, (3, 3), (2, 2), -127),
    ],
)
def test_a_depthwise_convolution_is_exact_on_arm(
    board: str,
    dtype: str,
    channels: int,
    taps: tuple[int, int],
    strides: tuple[int, int],
    lowest: int,
    tmp_path: Path,
) -> None:
    profile, form = on_arm(board), (strides, (1, 1), (1, 1, 1, 1))
    data = bytes_like(dtype, (1, 9, 11, channels))
    weights = np.random.default_rng(4).integers(lowest, 128, (*taps, 1, channels)).astype("int8")
    weights[:, :, :, 0], data[..., 0] = lowest, np.iinfo(dtype).min
    module, rules = scheduled(profile, data, weights, form, groups=channels)
    assert "depthwise columns" in rules
    found = emulated(module, profile, data, tmp_path)
    wanted = [summed(data[..., [c]], weights[..., [c]], form, 7) for c in range(channels)]
    np.testing.assert_array_equal(found, np.concatenate(wanted, axis=-1))


@pytest.mark.parametrize("board", ["rpi4", "rpi3-32", "qemu-armv7"])
@pytest.mark.parametrize(
    "settling",
    [Settling(0, -128, 127, "int8"), Settling(-5, -5, 120, "int8"), Settling(17, 0, 255, "uint8")],
    ids=lambda one: f"{one.dtype} {one.zero_point}",
)
def test_sums_are_rounded_alike_on_arm(board: str, settling: Settling, tmp_path: Path) -> None:
    """Halves to even, and what is far outside the range to its ends; 44 lanes: 16, 8 and 4."""
    from tvm import relax

    profile = on_arm(board)
    sums = np.random.default_rng(6).integers(-600, 600, (8, 44)).astype(np.int32)
    sums[0, :6] = [2**31 - 1, -(2**31), 2**24, -(2**24), 5, -5]
    factor = np.full(44, 0.5, np.float32)
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(sums.shape, "int32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            rounded = builder.emit_te(
                lambda x, factor: rounded_sums(x, None, factor, None, settling),
                x,
                relax.const(factor),
                primfunc_name_hint="rounded",
            )
            result = builder.emit_output(rounded)
        builder.emit_func_output(result)
    module, _ = schedule_module(builder.get(), profile)
    found = emulated(module, profile, sums, tmp_path)
    exact = np.rint(sums.astype(np.float32) * factor) + settling.zero_point
    np.testing.assert_array_equal(found, np.clip(exact, settling.low, settling.high))


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(3, 3, 8, 5), (40, 6), (1, 1, 64, 1), (5, 5, 3, 16)]),
    per_feature=st.booleans(),
    largest=st.sampled_from([7, 127, 200]),
)
@settings(max_examples=60, deadline=None)
def test_steps_of_quantised_weights_are_found(
    seed: int, shape: tuple[int, ...], per_feature: bool, largest: int
) -> None:
    chance = np.random.default_rng(seed)
    low = -largest if largest <= 127 else largest - 255
    integers = chance.integers(low, largest + 1, shape)
    scales = np.exp(chance.uniform(-9, 2, shape[-1] if per_feature else 1)).astype(np.float32)
    weights = (integers.astype(np.float32) * scales).astype(np.float32)
    found = integer_weights(weights)
    assert found is not None
    np.testing.assert_allclose(found[0] * found[1], weights, rtol=1e-5, atol=1e-6 * scales.max())


def test_weights_that_are_no_steps_are_left() -> None:
    assert integer_weights(random(3, 3, 16, 8)) is None


def test_a_quantised_graph_is_summed_in_integers(tmp_path: Path) -> None:
    """Of ONNX Runtime's quantised form, with a border, zero points and scales of each feature."""
    chance = np.random.default_rng(5)
    weights = chance.integers(-127, 128, (24, 12, 3, 3)).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"], axis=0),
        helper.make_node("Conv", ["d", "dw", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "sy", "zy"], ["qy"]),
        helper.make_node("DequantizeLinear", ["qy", "sy", "zy"], ["dy"]),
        helper.make_node("Conv", ["dy", "one"], ["out"]),
    ]
    scales = chance.uniform(0.001, 0.01, 24).astype(np.float32)
    constants = {
        "sx": np.float32(0.02),
        "zx": np.uint8(113),
        "w": weights,
        "sw": scales,
        "zw": np.zeros(24, np.int8),
        "b": random(24, seed=1),
        "sy": np.float32(0.05),
        "zy": np.uint8(0),
        "one": np.eye(24, dtype=np.float32).reshape(24, 24, 1, 1),
    }
    inputs = {"x": random(1, 12, 13, 15)}
    from edgetvm.compile.compiler import optimise
    from edgetvm.models import import_model

    path = graph(tmp_path / "m.onnx", nodes, inputs, constants)
    text = optimise(import_model(path), load_profile("local")).script()
    assert "edgetvm.dot" in text
    # One step of the output's quantisation, where a sum lies between two.
    check(path, inputs, tolerance=0.05 / 6)


@pytest.mark.parametrize("layout", ["NCHW", "NCHWc"])
def test_a_quantised_graph_keeps_its_integers_whatever_layout_is_asked_for(
    layout: Layout, tmp_path: Path
) -> None:
    """What sums integers has channels last; what follows was told to read others."""
    chance = np.random.default_rng(5)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"], axis=0),
        helper.make_node("Conv", ["d", "dw"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "f"], ["out"]),
    ]
    constants = {
        "sx": np.float32(0.021),
        "zx": np.uint8(113),
        "w": chance.integers(-127, 128, (32, 16, 1, 1)).astype(np.int8),
        "sw": chance.uniform(0.001, 0.01, 32).astype(np.float32),
        "zw": np.zeros(32, np.int8),
        "f": random(32, 32, 3, 3),
    }
    inputs = {"x": random(1, 16, 3, 9)}
    path = graph(tmp_path / "m.onnx", nodes, inputs, constants)
    sums = [one for one in checked(path, inputs, options=CompileOptions(layout=layout))
            if "conv2d" in one.workload]  # fmt: skip
    integers, floats = sums
    assert integers.layout == "NHWC"
    assert "int8" in integers.workload
    assert floats.layout.startswith("NCHW")
