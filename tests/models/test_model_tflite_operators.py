"""Each operator of the TFLite importer against LiteRT, float and quantised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert import by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, const, write_graphs
from tflite_batch import FLOAT, Batch, Options, numbers, together

# Name, options, smallest and largest input.
UNARY: list[tuple[str, Options, float, float]] = [
    ("ABS", None, -1, 1),
    ("NEG", None, -1, 1),
    ("EXP", None, -1, 1),
    ("LOG", None, 0.1, 2),
    ("SQRT", None, 0.1, 2),
    ("RSQRT", None, 0.1, 2),
    ("SIN", None, -3, 3),
    ("COS", None, -3, 3),
    ("FLOOR", None, -3, 3),
    ("CEIL", None, -3, 3),
    ("ROUND", None, -3, 3),
    ("SQUARE", None, -3, 3),
    ("SIGN", None, -3, 3),
    ("TANH", None, -3, 3),
    ("LOGISTIC", None, -3, 3),
    ("RELU", None, -3, 3),
    ("RELU6", None, -10, 10),
    ("RELU_N1_TO_1", None, -3, 3),
    ("RELU_0_TO_1", None, -3, 3),
    ("HARD_SWISH", None, -5, 5),
    ("ELU", None, -3, 3),
    ("GELU", ("GeluOptions", {"approximate": False}), -3, 3),
    ("GELU", ("GeluOptions", {"approximate": True}), -3, 3),
    ("LEAKY_RELU", ("LeakyReluOptions", {"alpha": 0.3}), -3, 3),
    ("SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), -3, 3),
    ("SOFTMAX", ("SoftmaxOptions", {"beta": 0.5}), -3, 3),
    ("LOG_SOFTMAX", None, -3, 3),
    ("L2_NORMALIZATION", ("L2NormOptions", {}), -3, 3),
    ("ZEROS_LIKE", None, -3, 3),
    (
        "LOCAL_RESPONSE_NORMALIZATION",
        (
            "LocalResponseNormalizationOptions",
            {"radius": 1, "bias": 1.0, "alpha": 0.5, "beta": 0.7},
        ),
        -3,
        3,
    ),
]


@together(case=UNARY)
def test_float_unary(batch: Batch, case: tuple[str, Options, float, float]) -> None:
    name, options, low, high = case
    shape = (1, 2, 3, 5)
    allowed = 2e-4 if name in ("GELU", "TANH") else 5e-6
    batch.add(name, [T(shape)], [T(shape)], options, allowed=allowed, low=low, high=high)


# Name, options, scale and zero point of the input and of the output, quanta allowed.
Quantised = tuple[str, Options, tuple[float, int], tuple[float, int], int]
QUANTISED: list[Quantised] = [
    ("ABS", None, (0.05, 3), (0.05, -4), 1),
    ("EXP", None, (0.02, 3), (0.05, -128), 1),
    ("LOG", None, (0.02, -128), (0.05, 40), 1),
    ("SQRT", None, (0.02, -128), (0.02, -128), 1),
    ("RSQRT", None, (0.02, -128), (0.05, -128), 1),
    ("TANH", None, (0.03, 5), (1 / 128, 0), 0),
    ("LOGISTIC", None, (0.05, 5), (1 / 256, -128), 0),
    ("RELU", None, (0.05, 5), (0.04, -100), 1),
    ("RELU6", None, (0.05, 5), (0.03, -128), 1),
    ("RELU_N1_TO_1", None, (0.05, 5), (0.03, -10), 1),
    ("HARD_SWISH", None, (0.05, 5), (0.04, -100), 1),
    ("ELU", None, (0.05, 5), (0.04, -90), 1),
    ("LEAKY_RELU", ("LeakyReluOptions", {"alpha": 0.3}), (0.05, 5), (0.04, -60), 1),
    ("GELU", ("GeluOptions", {"approximate": False}), (0.05, 5), (0.04, -100), 1),
    ("SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), (0.05, 5), (1 / 256, -128), 0),
    ("SOFTMAX", ("SoftmaxOptions", {"beta": 1.0}), (0.7, 5), (1 / 256, -128), 0),
    ("LOG_SOFTMAX", None, (0.05, 5), (16 / 256, 127), 1),
    ("L2_NORMALIZATION", ("L2NormOptions", {}), (0.05, 5), (1 / 128, 0), 1),
    ("QUANTIZE", None, (0.05, 5), (0.04, -20), 0),
    ("QUANTIZE", None, (0.05, 5), (0.05, -20), 0),
]


@together(dtype=["int8", "uint8"], case=QUANTISED)
def test_quantised_unary(batch: Batch, case: Quantised, dtype: str) -> None:
    name, options, source, result, allowed = case
    shift = 128 if dtype == "uint8" else 0
    if dtype == "uint8" and name in (
        "ABS",
        "EXP",
        "LOG",
        "SQRT",
        "RSQRT",
        "ELU",
        "GELU",
        "RELU_N1_TO_1",
    ):
        return  # LiteRT has it for int8 alone
    shape = (1, 7, 11, 8)
    batch.add(
        name,
        [T(shape, dtype, scale=source[0], zero=source[1] + shift)],
        [T(shape, dtype, scale=result[0], zero=result[1] + shift)],
        options,
        allowed=allowed,
        version=1 if name in ("HARD_SWISH", "ELU", "RELU_N1_TO_1") else 2,
    )


BINARY = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": None,
    "MINIMUM": None,
    "POW": None,
    "FLOOR_DIV": None,
    "FLOOR_MOD": None,
    "SQUARED_DIFFERENCE": None,
    "ATAN2": None,
}


@together(activation=[0, 1, 2, 3], name=["ADD", "SUB", "MUL", "DIV"])
def test_float_activations(batch: Batch, name: str, activation: int) -> None:
    options = (BINARY[name] or "", {"fusedActivationFunction": activation})
    tensors = [T((2, 3, 4)), T((3, 1))]
    batch.add(name, tensors, [T((2, 3, 4))], options, allowed=FLOAT, low=0.5, high=4)


@together(name=[name for name, options in BINARY.items() if not options])
def test_float_binary(batch: Batch, name: str) -> None:
    second = T((2, 3, 4) if name == "ATAN2" else (4,))
    batch.add(name, [T((2, 3, 4)), second], [T((2, 3, 4))], allowed=FLOAT, low=0.5, high=4)


@together(name=["ADD", "SUB", "MUL", "MAXIMUM", "FLOOR_DIV", "FLOOR_MOD", "DIV"])
def test_integer_binary(batch: Batch, name: str) -> None:
    tensors = [T((2, 3), "int32"), const([[3, -2, 7]])]
    options = BINARY[name]
    batch.add(
        name,
        tensors,
        [T((2, 3), "int32")],
        (options, {}) if options else None,
        low=-50,
        high=50,
        version=2,
    )


@together(activation=[0, 1, 3], dtype=["int8", "uint8"], name=["ADD", "SUB", "MUL"])
def test_quantised_arithmetic(batch: Batch, name: str, dtype: str, activation: int) -> None:
    shift = 128 if dtype == "uint8" else 0
    batch.add(
        name,
        [
            T((1, 9, 10, 8), dtype, scale=0.05, zero=3 + shift),
            T((1, 9, 10, 8), dtype, scale=0.031, zero=-20 + shift),
        ],
        [T((1, 9, 10, 8), dtype, scale=0.07, zero=-11 + shift)],
        (BINARY[name] or "", {"fusedActivationFunction": activation}),
        version=2,
    )


@together(name=["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"])
def test_other_quantised_binary(batch: Batch, name: str) -> None:
    same = {"scale": 0.05, "zero": 3}
    second = T((1, 1, 8), "int8", scale=0.05, zero=3)
    if name == "PRELU":
        second.data = numbers(second, 5)
    result = same if name in ("MAXIMUM", "MINIMUM") else {"scale": 0.3, "zero": -100}
    batch.add(
        name,
        [T((1, 4, 5, 8), "int8", **same), second],  # type: ignore[arg-type]
        [T((1, 4, 5, 8), "int8", **result)],  # type: ignore[arg-type]
        allowed=0 if name in ("MAXIMUM", "MINIMUM") else 1,
        version=1 if name == "PRELU" else 2,
    )


COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


@together(name=COMPARISONS)
def test_comparisons(batch: Batch, name: str) -> None:
    tensors = [T((4, 5), "int32"), T((5,), "int32")]
    batch.add(name, tensors, [T((4, 5), "bool")], low=-2, high=2)


@together(name=["LOGICAL_AND", "LOGICAL_OR"])
def test_logic(batch: Batch, name: str) -> None:
    batch.add(name, [T((4, 5), "bool"), T((4, 5), "bool")], [T((4, 5), "bool")])


@together()
def test_not(batch: Batch) -> None:
    batch.add("LOGICAL_NOT", [T((4, 5), "bool")], [T((4, 5), "bool")])


@together(name=["SELECT", "SELECT_V2"])
def test_select(batch: Batch, name: str) -> None:
    batch.add(name, [T((4, 5), "bool"), T((4, 5)), T((4, 5))], [T((4, 5))])


# Height and width, kernel, stride, dilation, same padding?, channels in and out.
WINDOWS = [
    ((8, 9), (3, 3), (1, 1), (1, 1), True, 4, 8),
    ((8, 9), (3, 2), (2, 2), (1, 1), True, 4, 8),
    ((8, 9), (3, 3), (2, 1), (1, 1), False, 4, 6),
    ((8, 9), (3, 3), (1, 1), (2, 2), True, 4, 8),
    ((8, 9), (1, 1), (1, 1), (1, 1), False, 4, 8),
    ((8, 9), (1, 1), (2, 2), (1, 1), True, 3, 5),
]
KINDS = ["float32", "int8", "int8 per channel", "uint8", "hybrid", "hybrid per channel"]


def weights(shape: Sequence[int], kind: str, axis: int) -> tuple[T, T, T | None]:
    """Kernel, bias, and the input's dtype and quantisation as a tensor without shape."""
    random = np.random.default_rng(7)
    count = shape[axis]
    if kind == "float32":
        return (
            const(random.standard_normal(shape), "float32"),
            const(random.standard_normal(count), "float32"),
            None,
        )
    per_channel = kind.endswith("per channel")
    scales = random.random(count) * 0.01 + 0.005 if per_channel else 0.01
    if kind == "uint8":
        data = random.integers(0, 256, shape)
        kernel = const(data, "uint8", scale=0.01, zero=117)
    else:
        data = random.integers(-127, 128, shape)
        kernel = const(data, "int8", scale=scales, zero=0, axis=axis)
    if kind.startswith("hybrid"):
        return kernel, const(random.standard_normal(count), "float32"), None
    source = T((), kind.split(maxsplit=1)[0], scale=0.05, zero=11 if kind != "uint8" else 139)
    bias = const(
        random.integers(-2000, 2000, count),
        "int32",
        scale=np.atleast_1d(scales) * 0.05 if per_channel else 0.01 * 0.05,
        zero=0,
    )
    return kernel, bias, source


def ends(kind: str, source: T | None, shape: Sequence[int], result: Sequence[int]) -> list[T]:
    if source is None:
        return [T(shape), T(result)]
    zero = -20 if source.dtype == "int8" else 108
    return [
        T(shape, source.dtype, scale=source.scale, zero=source.zero),
        T(result, source.dtype, scale=0.06, zero=zero),
    ]


def extent(size: int, kernel: int, stride: int, dilation: int, same: bool) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if same else (size - reach) // stride + 1


@together(kind=KINDS, case=WINDOWS, name=["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolutions(batch: Batch, name: str, case: Any, kind: str) -> None:
    size, kernel, stride, dilation, same, channels, outputs = case
    depthwise = name == "DEPTHWISE_CONV_2D"
    if case not in WINDOWS[:3] and kind not in ("float32", "int8 per channel"):
        return  # the kinds share their windows
    if depthwise and kind == "hybrid":
        return  # LiteRT wants scales per channel
    if depthwise and kind == "hybrid per channel" and dilation != (1, 1):
        return  # LiteRT's kernel does not dilate
    outputs = 2 * channels if depthwise else outputs
    shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels)
    weight, bias, source = weights(shape, kind, 3 if depthwise else 0)
    result = [extent(*one, same) for one in zip(size, kernel, stride, dilation, strict=True)]
    data, out = ends(kind, source, (1, *size, channels), (1, *result, outputs))
    fields = {
        "padding": 0 if same else 1,
        "strideH": stride[0],
        "strideW": stride[1],
        "dilationHFactor": dilation[0],
        "dilationWFactor": dilation[1],
        "fusedActivationFunction": 1,
    }
    options = "Conv2DOptions"
    if depthwise:
        options, fields["depthMultiplier"] = "DepthwiseConv2DOptions", 2
    allowed = 0 if source is not None else 2e-5
    batch.add(name, [data, weight, bias], [out], (options, fields), allowed=allowed, version=5)


@together(same=[True, False], stride=[1, 2])
def test_conv_3d(batch: Batch, same: bool, stride: int) -> None:
    kernel = const(np.random.default_rng(0).standard_normal((2, 3, 3, 2, 4)), "float32")
    sizes = zip((4, 5, 6), (2, 3, 3), strict=True)
    result = [extent(size, reach, stride, 1, same) for size, reach in sizes]
    steps = dict.fromkeys(("strideD", "strideH", "strideW"), stride)
    fields = {"padding": 0 if same else 1, "fusedActivationFunction": 1, **steps}
    batch.add(
        "CONV_3D",
        [T((1, 4, 5, 6, 2)), kernel, const(np.arange(4), "float32")],
        [T((1, *result, 4))],
        ("Conv3DOptions", fields),
        allowed=1e-5,
    )


@together(
    kind=["float32", "int8", "int8 per channel"],
    same=[True, False],
    size_and_stride=[((3, 3), (2, 2)), ((2, 4), (2, 3)), ((1, 1), (2, 2))],
)
def test_transpose_conv(batch: Batch, size_and_stride: Any, same: bool, kind: str) -> None:
    size, stride = size_and_stride
    weight, bias, source = weights((5, *size, 4), kind, 0)
    result = [
        one * step if same else (one - 1) * step + max(reach, step)
        for one, step, reach in zip((4, 6), stride, size, strict=True)
    ]
    data, out = ends(kind, source, (1, 4, 6, 4), (1, *result, 5))
    fields = {"padding": 0 if same else 1, "strideH": stride[0], "strideW": stride[1]}
    batch.add(
        "TRANSPOSE_CONV",
        [const([1, *result, 5]), weight, data, bias],
        [out],
        ("TransposeConvOptions", fields),
        # LiteRT's own kernel takes a window smaller than its stride, and rounds otherwise.
        allowed=2e-5 if source is None else int(same and size < stride),
        version=3,
    )


@together(keep=[True, False], kind=KINDS)
def test_fully_connected(batch: Batch, kind: str, keep: bool) -> None:
    weight, bias, source = weights((6, 16), kind, 0)
    shape, result = ((2, 3, 16), (2, 3, 6)) if keep else ((3, 16), (3, 6))
    data, out = ends(kind, source, shape, result)
    options = ("FullyConnectedOptions", {"keepNumDims": keep, "fusedActivationFunction": 1})
    batch.add(
        "FULLY_CONNECTED",
        [data, weight, bias],
        [out],
        options,
        allowed=0 if source is not None else 2e-5,
        version=9,
    )


@together(adjoint=[(False, False), (False, True), (True, False)])
def test_batch_matmul(batch: Batch, adjoint: tuple[bool, bool]) -> None:
    a = (2, 4, 3) if adjoint[0] else (2, 3, 4)
    b = (2, 5, 4) if adjoint[1] else (2, 4, 5)
    options = ("BatchMatMulOptions", {"adjX": adjoint[0], "adjY": adjoint[1]})
    batch.add("BATCH_MATMUL", [T(a), T(b)], [T((2, 3, 5))], options, allowed=FLOAT)
    quantised = [T(a, "int8", scale=0.05, zero=3), T(b, "int8", scale=0.02, zero=-9)]
    out = T((2, 3, 5), "int8", scale=0.1, zero=4)
    batch.add("BATCH_MATMUL", quantised, [out], options, allowed=1, version=2)


POOLS = [
    ((2, 2), (2, 2), False),
    ((3, 3), (2, 2), True),
    ((2, 3), (1, 1), True),
    ((6, 7), (1, 1), False),
]


@together(
    kind=["float32", "int8", "uint8"],
    case=POOLS,
    name=["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"],
)
def test_pools(batch: Batch, name: str, case: Any, kind: str) -> None:
    if name == "L2_POOL_2D" and kind != "float32":
        return  # LiteRT has it for float alone
    size, stride, same = case
    result = [extent(*one, 1, same) for one in zip((6, 7), size, stride, strict=True)]
    scale = None if kind == "float32" else 0.05
    zero = {"int8": -3, "uint8": 130}.get(kind, 0)
    fields = {
        "padding": 0 if same else 1,
        "strideH": stride[0],
        "strideW": stride[1],
        "filterHeight": size[0],
        "filterWidth": size[1],
        "fusedActivationFunction": 1,
    }
    batch.add(
        name,
        [T((2, 6, 7, 5), kind, scale=scale, zero=zero)],
        [T((2, *result, 5), kind, scale=scale, zero=zero)],
        ("Pool2DOptions", fields),
        allowed=FLOAT if kind == "float32" else 0,
        version=1 if name.startswith("L2") else 2,
    )


@together(
    keep=[True, False],
    axes=[[1, 2], [-1], [0, 1, 2, 3]],
    name=["MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"],
)
def test_reductions(batch: Batch, name: str, axes: list[int], keep: bool) -> None:
    shape = (2, 3, 4, 5)
    gone = {axis % 4 for axis in axes}
    result = [
        1 if axis in gone else size for axis, size in enumerate(shape) if keep or axis not in gone
    ]
    options = ("ReducerOptions", {"keepDims": keep})
    batch.add(name, [T(shape), const(axes)], [T(result)], options, allowed=3e-5)
    if name == "REDUCE_PROD":
        return
    scale = {"MEAN": 0.03, "SUM": 0.4}.get(name, 0.05)
    zero = 3 if name.startswith("REDUCE") else -7
    batch.add(
        name,
        [T(shape, "int8", scale=0.05, zero=3), const(axes)],
        [T(result, "int8", scale=scale, zero=zero)],
        options,
        allowed=1 if name in ("MEAN", "SUM") else 0,
        version=2,
    )


@together(name=["REDUCE_ANY", "REDUCE_ALL"])
def test_truth(batch: Batch, name: str) -> None:
    options = ("ReducerOptions", {"keepDims": False})
    batch.add(name, [T((4, 3), "bool"), const([1])], [T((4,), "bool")], options)


@together(dtype=["float32", "int8"], name=["ARG_MAX", "ARG_MIN"])
def test_where_the_extreme_is(batch: Batch, name: str, dtype: str) -> None:
    scale = None if dtype == "float32" else 0.1
    batch.add(
        name,
        [T((2, 300), dtype, scale=scale), const([-1])],
        [T((2,), "int64")],
        (
            name.replace("ARG_M", "ArgM").replace("AX", "ax").replace("IN", "in") + "Options",
            {"outputType": 4},
        ),
        version=2,
    )


@together(exclusive_and_reverse=[(False, False), (True, False), (False, True), (True, True)])
def test_running_sums(batch: Batch, exclusive_and_reverse: tuple[bool, bool]) -> None:
    exclusive, reverse = exclusive_and_reverse
    options = ("CumsumOptions", {"exclusive": exclusive, "reverse": reverse})
    batch.add("CUMSUM", [T((3, 4, 2)), const([1])], [T((3, 4, 2))], options, allowed=FLOAT)


@together()
def test_the_largest_k(batch: Batch) -> None:
    outputs = [T((3, 4)), T((3, 4), "int32")]
    batch.add("TOPK_V2", [T((3, 9)), const(4)], outputs)


@together(
    source_and_result=[
        ("float32", "int32"),
        ("int32", "float32"),
        ("bool", "float32"),
        ("int64", "int32"),
        ("int32", "bool"),
    ]
)
def test_casts(batch: Batch, source_and_result: tuple[str, str]) -> None:
    source, result = source_and_result
    options = ("CastOptions", {})
    batch.add("CAST", [T((3, 4), source)], [T((3, 4), result)], options, low=-3, high=3)


@together()
def test_one_hot(batch: Batch) -> None:
    tensors = [T((2, 3), "int32"), const(4), const(5.0, "float32"), const(-1.0, "float32")]
    for axis, shape in ((-1, (2, 3, 4)), (0, (4, 2, 3))):
        options = ("OneHotOptions", {"axis": axis})
        batch.add("ONE_HOT", tensors, [T(shape)], options, low=0, high=3)


@together()
def test_quantising_and_back(batch: Batch) -> None:
    for dtype, zero in (("int8", -7), ("uint8", 121), ("int16", 0)):
        quantised = T((40, 50), dtype, scale=0.0123, zero=zero)
        batch.add("QUANTIZE", [T((40, 50))], [quantised], low=-2, high=2, version=2)
        batch.add("DEQUANTIZE", [quantised], [T((40, 50))], version=2)


def test_half_precision_weights(tmp_path: Path) -> None:
    weight = const(np.random.default_rng(2).standard_normal((6, 4)), "float16")
    tensors = [T((2, 4)), weight, T((6, 4)), const(np.zeros(6), "float32"), T((2, 6))]
    operators = [
        Op("DEQUANTIZE", [1], [2]),
        Op("FULLY_CONNECTED", [0, 2, 3], [4], ("FullyConnectedOptions", {})),
    ]
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, operators, [0], [4]))
    arrays = [numbers(tensors[0])]
    assert furthest(by_edgetvm(path, arrays), by_litert(path, arrays)) < FLOAT


@together()
def test_a_constant_of_as_many_axes_as_the_data(batch: Batch) -> None:
    data, alpha = T((1, 4, 4, 1), "int8", scale=0.05), const([[[3]]], "int8", scale=0.05)
    batch.add("PRELU", [data, alpha], [data], allowed=1)
    row, other = T((1, 8), "int8", scale=0.05), const([[3]], "int8", scale=0.05)
    batch.add("SQUARED_DIFFERENCE", [row, other], [row], allowed=1, version=2)


@together()
def test_means_of_integers(batch: Batch) -> None:
    options = ("ReducerOptions", {})
    for dtype in ("int32", "int64"):
        inputs = [T((3, 5), dtype), const([1])]
        batch.add("MEAN", inputs, [T((3,), dtype)], options, low=-9, high=9)


@together()
def test_products_by_weights_of_a_scale_per_column(batch: Batch) -> None:
    weights = np.random.default_rng(1).integers(-127, 128, (1, 4, 2))
    right = const(weights, "int8", scale=[0.1, 0.4], zero=[0, 0], axis=2)
    options = ("BatchMatMulOptions", {})
    batch.add(
        "BATCH_MATMUL", [T((1, 3, 4)), right], [T((1, 3, 2))], options, allowed=5e-5, version=4
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [("DIV", ("DivOptions", {})), ("FLOOR_DIV", None), ("FLOOR_MOD", None)],
)
def test_integers_divided_by_zero_end_no_process(
    tmp_path: Path, name: str, options: Options
) -> None:
    tensors = [T((4,), "int32"), T((4,), "int32"), T((4,), "int32")]
    path = write_graphs(
        tmp_path / "m.tflite", Sub(tensors, [Op(name, [0, 1], [2], options)], [0, 1], [2])
    )
    dividend, divisor = np.array([7, 8, 9, -9], np.int32), np.array([0, 2, 0, 4], np.int32)
    (found,) = by_edgetvm(path, [dividend, divisor])
    expected = {"DIV": [4, -2], "FLOOR_DIV": [4, -3], "FLOOR_MOD": [0, 3]}[name]
    assert found[[1, 3]].tolist() == expected
