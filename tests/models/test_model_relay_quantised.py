"""QNN and relay.quantize: integers beside numpy's, to the last bit."""

from pathlib import Path

import numpy as np
import pytest
from made_relay import check, run, write

from edgetvm.models.relay.quantised import fixed_point

RNG = np.random.default_rng(5)
A = RNG.integers(-128, 128, (2, 4, 5, 5), "int8")
B = RNG.integers(-128, 128, (2, 4, 5, 5), "int8")


def scaled(value: np.ndarray, ratio: np.ndarray | float, to_nearest: bool = False) -> np.ndarray:
    """The real number, rounded: halves up or away from zero."""
    exact = value.astype("float64") * ratio
    if to_nearest:
        return np.sign(exact) * np.floor(np.abs(exact) + 0.5)
    return np.floor(exact + 0.5)


def real(scale: float) -> float:
    return float(np.float32(scale))


@pytest.mark.parametrize("multiplier", [1e-9, 0.1, 0.49999, 0.5, 0.75, 1.0, 3.7, 1000.0])
def test_a_multiplier_keeps_31_bits(multiplier: float) -> None:
    mantissa, exponent = fixed_point(multiplier)
    assert 1 << 30 <= mantissa < 1 << 31
    assert abs(mantissa / 2**31 * 2.0**exponent / multiplier - 1) < 2**-30


@pytest.mark.parametrize("rounding", ["UPWARD", "TONEAREST"])
def test_requantize(tmp_path: Path, rounding: str) -> None:
    sums = RNG.integers(-40000, 40000, (2, 4, 3), "int32")
    sums[0, 0] = [3, -3, 5]  # halves, at a ratio of 1/2
    nearest = rounding == "TONEAREST"
    channels = np.array([0.01, 0.2, 0.003, 1.7], "float32")
    ratios = (channels.astype("float64") / real(0.5))[None, :, None]
    half = scaled(sums, 0.5, nearest) + 3
    cases = [
        (
            f'qnn.requantize(%s, 0.25f, 0, 0.5f, 3, rounding="{rounding}", out_dtype="int8")',
            half.clip(-128, 127).astype("int8"),
        ),
        (
            f'qnn.requantize(%s, 0.25f, 0, 0.5f, 3, rounding="{rounding}", out_dtype="uint8")',
            half.clip(0, 255).astype("uint8"),
        ),
        (
            f'qnn.requantize(%s, 0.25f, 7, 0.5f, 0, rounding="{rounding}", out_dtype="int32")',
            scaled(sums - 7, 0.5, nearest).astype("int32"),
        ),
        (
            "qnn.requantize(%s, meta[relay.Constant][0], 0, 0.5f, 0, "
            f'axis=1, rounding="{rounding}", out_dtype="int32")',
            scaled(sums, ratios, nearest).astype("int32"),
        ),
        (
            'qnn.requantize(%s, 0.5f, 0, 0.5f, 0, out_dtype="int8")',
            sums.clip(-128, 127).astype("int8"),
        ),
    ]
    check(tmp_path, {"s": sums}, cases, constants=[channels])


def test_quantize_and_dequantize(tmp_path: Path) -> None:
    x = RNG.uniform(-3, 3, (2, 4, 3)).astype("float32")
    x[0, 0] = [0.25, -0.25, 0.75]  # halves, at a scale of 1/2
    scales = np.array([0.5, 0.1, 0.02, 1.0], "float32")
    zeros = np.array([0, 3, -5, 1], "int32")
    s, z = scales[None, :, None], zeros[None, :, None]

    def away(v: np.ndarray) -> np.ndarray:
        return np.sign(v) * np.floor(np.abs(v) + 0.5)

    cases = [
        (
            'qnn.quantize(%x, 0.5f, 2, out_dtype="int8")',
            (away(x / np.float32(0.5)) + 2).clip(-128, 127).astype("int8"),
        ),
        (
            'qnn.quantize(%x, 0.01f, 128, out_dtype="uint8")',
            (away(x / np.float32(0.01)) + 128).clip(0, 255).astype("uint8"),
        ),
        (
            'qnn.quantize(%x, %s, %z, out_dtype="int8", axis=1)',
            (away(x / s) + z).clip(-128, 127).astype("int8"),
        ),
        ("qnn.dequantize(%a, 0.5f, 3)", (A.astype("float32") - 3) * np.float32(0.5)),
        (
            "qnn.dequantize(%a, %s, %z, axis=1)",
            (A.astype("int32") - zeros[None, :, None, None]).astype("float32")
            * scales[None, :, None, None],
        ),
    ]
    check(tmp_path, {"x": x, "a": A}, cases, {"s": scales, "z": zeros})


def test_arithmetic(tmp_path: Path) -> None:
    sa, sb, so = real(0.1), real(0.05), real(0.2)
    left, right = scaled(A.astype("int32") - 3, sa / so), scaled(B.astype("int32") + 1, sb / so)
    both = (A.astype("int32") - 3) * (B.astype("int32") + 1)
    product = scaled(both, float(np.float32(sa) * np.float32(sb)) / so)
    qs = "0.1f, 3, 0.05f, -1, 0.2f, 4"
    joined = [
        scaled(A.astype("int32") - 3, sa / so) + 4,
        scaled(B.astype("int32") + 1, sb / so) + 4,
    ]
    cases = [
        (f"qnn.add(%a, %b, {qs})", (left + right + 4).clip(-128, 127).astype("int8")),
        (f"qnn.subtract(%a, %b, {qs})", (left - right + 4).clip(-128, 127).astype("int8")),
        (f"qnn.mul(%a, %b, {qs})", (product + 4).clip(-128, 127).astype("int8")),
        (
            "qnn.add(%a, %b, 0.1f, 0, 0.1f, 0, 0.1f, 0)",
            (A.astype("int32") + B).clip(-128, 127).astype("int8"),
        ),
        (
            "qnn.concatenate((%a, %b), (0.1f, 0.05f), (3, -1), 0.2f, 4, axis=1)",
            np.concatenate([part.clip(-128, 127) for part in joined], 1).astype("int8"),
        ),
    ]
    check(tmp_path, {"a": A, "b": B}, cases)


def test_products(tmp_path: Path) -> None:
    d = RNG.integers(0, 256, (1, 3, 6), "uint8")
    w = RNG.integers(-128, 128, (4, 6), "int8")
    k = RNG.integers(-128, 128, (2, 4, 3, 3), "int8")
    zeros = np.array([1, -2], "int32")
    exact = (d.astype("int32") - 128) @ (w.astype("int32") - 5).T
    centred = A.astype("int32") - 7
    cases = [
        ('qnn.dense(%d, %w, 128, 5, 0.1f, 0.1f, units=4, out_dtype="int32")', exact),
        ('qnn.batch_matmul(%d, %w3, 128, 5, 0.1f, 0.1f, out_dtype="int32")', exact),
        (
            "qnn.conv2d(%a, %k, 7, 0, 0.1f, 0.1f, padding=[1, 1, 1, 1], "
            'channels=2, kernel_size=[3, 3], out_dtype="int32")',
            _conv(centred, k.astype("int32")),
        ),
        (
            'qnn.conv2d(%a, %k, 0, 0, 0.1f, 0.1f, padding=[1, 1, 1, 1], out_dtype="int32")',
            _conv(A.astype("int32"), k.astype("int32")),
        ),
        (
            'qnn.conv2d(%a, %k, 7, %z, 0.1f, 0.1f, padding=[1, 1, 1, 1], out_dtype="int32")',
            _conv(centred, k.astype("int32") - zeros[:, None, None, None]),
        ),
        (
            'qnn.conv2d_transpose(%one, %t, 7, 1, 0.1f, 0.1f, out_dtype="int32")',
            np.einsum("nihw,ioyx->noyx", centred[:, :, :1, :1], T.astype("int32") - 1).astype(
                "int32"
            ),
        ),
    ]
    inputs = {"d": d, "a": A, "one": np.ascontiguousarray(A[:, :, :1, :1])}
    params = {"w": w, "w3": w[None], "k": k, "z": zeros, "t": T}
    check(tmp_path, inputs, cases, params)


T = RNG.integers(-128, 128, (4, 2, 3, 3), "int8")


def _conv(data: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    wide = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(data), len(kernel), 5, 5), "int32")
    for y in range(3):
        for x in range(3):
            out += np.einsum("nihw,oi->nohw", wide[:, :, y : y + 5, x : x + 5], kernel[:, :, y, x])
    return out


def test_what_relay_quantize_makes(tmp_path: Path) -> None:
    wide = RNG.integers(-(2**20), 2**20, (3, 4), "int32")
    factors, up, down = (
        np.array(v, "int32") for v in ([1 << 30, 3 << 29, 1 << 30], [1, 0, 2], [0, 3, 0])
    )
    ratios = factors / 2**31 * 2.0 ** (up - down)
    x = RNG.uniform(-3, 3, (3, 4)).astype("float32")
    simulated = np.clip(x / np.float32(0.1), -8, 7)
    simulated = (np.sign(simulated) * np.floor(np.abs(simulated) + 0.5) * np.float32(0.1)).astype(
        "float32"
    )
    cases = [
        ("right_shift(add(%w, 256), 9)", (wide + 256) >> 9),
        (
            'cast(clip(%w, a_min=-127f, a_max=127f), dtype="int8")',
            wide.clip(-127, 127).astype("int8"),
        ),
        (
            "fixed_point_multiply(%w, multiplier=1073741824, shift=-2)",
            scaled(wide, 0.125).astype("int32"),
        ),
        (
            "fixed_point_multiply_per_axis(%w, %f, %u, %d, "
            "is_lshift_required=True, is_rshift_required=True, axes=[0])",
            scaled(wide, ratios[:, None]).astype("int32"),
        ),
        ("relay.op.annotation.simulated_quantize(%x, 0.1f, -8f, 7f, kind=1)", simulated),
        ('annotation.cast_hint(%x, dtype="int8")', x),
    ]
    check(tmp_path, {"w": wide, "x": x}, cases, {"f": factors, "u": up, "d": down})


def test_functions_go_through_floats_within_one_quantum(tmp_path: Path) -> None:
    a = np.arange(-128, 128, dtype="int8")
    x = (a.astype("float64") - 3) * real(0.05)

    def back(y: np.ndarray) -> np.ndarray:
        return (np.round(y / real(0.01)) - 5).clip(-128, 127)

    names = {
        "tanh": np.tanh(x),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "hardswish": x * (x + 3).clip(0, 6) / 6,
    }
    calls = [f"qnn.{name}(%a, 0.05f, 3, 0.01f, -5)" for name in names]
    found = run(write(tmp_path, f"({', '.join(calls)})", {"a": a}), {"a": a})
    for got, exact in zip(found, names.values(), strict=True):
        assert np.abs(got.astype(int) - back(exact)).max() <= 1


def test_means_of_integers_are_cut_towards_zero(tmp_path: Path) -> None:
    # What TFLite's pools become: sums in int32, then a division of integers.
    wide = RNG.integers(-1000, 1000, (1, 3, 4, 6), "int32")
    parts = wide.reshape(1, 3, 2, 2, 3, 2)

    def cut(total: np.ndarray, count: int) -> np.ndarray:
        return np.trunc(total / count).astype("int32")

    whole = cut(wide.sum((2, 3), keepdims=True), 24)
    cases = [
        (
            "nn.avg_pool2d(%w, pool_size=[2, 2], strides=[2, 2])",
            cut(parts.sum((3, 5)), 4),
        ),
        ("nn.global_avg_pool2d(%w)", whole),
        ("nn.adaptive_avg_pool2d(%w, output_size=[1])", whole),
        ("nn.adaptive_avg_pool2d(%w, output_size=[2, 3])", cut(parts.sum((3, 5)), 4)),
        ("mean(%w, axis=[2, 3], keepdims=True)", whole),
    ]
    check(tmp_path, {"w": wide}, cases)
