"""What Relay's operators compute, beside numpy."""

from pathlib import Path

import numpy as np
import pytest
from made_relay import check, run, write
from scipy import special

from edgetvm.models import ImportOptions

RNG = np.random.default_rng(11)
X = RNG.uniform(-2, 2, (2, 3, 4)).astype("float32")
Y = RNG.uniform(0.5, 2, (2, 3, 4)).astype("float32")
U = RNG.uniform(0.1, 0.9, (2, 3, 4)).astype("float32")
I32 = RNG.integers(-9, 9, (2, 3), "int32")
J32 = np.array([[3, -2, 5], [4, 7, -3]], "int32")
BOOLS = X[0] > 0


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    return special.softmax(x, axis)


def test_every_operator_of_one_argument(tmp_path: Path) -> None:
    names = {
        **{
            name: getattr(np, name)
            for name in [
                "abs",
                "ceil",
                "cos",
                "cosh",
                "exp",
                "floor",
                "sin",
                "sinh",
                "tan",
                "tanh",
                "trunc",
                "sign",
            ]
        },
        "negative": np.negative,
        "atan": np.arctan,
        "asinh": np.arcsinh,
        "erf": special.erf,
        "sigmoid": special.expit,
        "isnan": np.isnan,
        "isfinite": np.isfinite,
        "isinf": np.isinf,
        "copy": lambda x: x,
        "annotation.stop_fusion": lambda x: x,
        "nn.relu": lambda x: np.maximum(x, 0),
        "zeros_like": np.zeros_like,
        "ones_like": np.ones_like,
        "fast_tanh": np.tanh,
        "fast_exp": np.exp,
    }
    cases = [(f"{name}(%x)", function(X)) for name, function in names.items()]
    inside = {
        "sqrt": np.sqrt,
        "rsqrt": lambda u: 1 / np.sqrt(u),
        "log": np.log,
        "log2": np.log2,
        "log10": np.log10,
        "asin": np.arcsin,
        "acos": np.arccos,
        "atanh": np.arctanh,
    }
    cases += [(f"{name}(%u)", function(U)) for name, function in inside.items()]
    cases += [("acosh(%w)", np.arccosh(1 + U))]
    cases += [("logical_not(%b)", ~BOOLS), ("bitwise_not(%i)", ~I32)]
    check(tmp_path, {"x": X, "u": U, "w": 1 + U, "b": BOOLS, "i": I32}, cases, tolerance=1e-4)


def test_halves_are_rounded_away_from_zero(tmp_path: Path) -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 7.2], "float32")
    rounded = np.array([1, 2, 3, -1, -2, -3, 0, 7], "float32")
    check(tmp_path, {"x": halves}, [("round(%x)", rounded)])


def test_every_operator_of_two_arguments(tmp_path: Path) -> None:
    names = {
        "add": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "divide": np.divide,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "equal": np.equal,
        "not_equal": np.not_equal,
        "less": np.less,
        "less_equal": np.less_equal,
        "greater": np.greater,
        "greater_equal": np.greater_equal,
        "floor_divide": np.floor_divide,
        "floor_mod": np.mod,
        "mod": np.fmod,
        "trunc_mod": np.fmod,
    }
    cases = [(f"{name}(%x, %y)", function(X, Y)) for name, function in names.items()]
    cases += [("power(%y, %x)", np.power(Y, X))]
    logical = {
        "logical_and": np.logical_and,
        "logical_or": np.logical_or,
        "logical_xor": np.logical_xor,
    }
    cases += [(f"{name}(%b, %c)", function(BOOLS, ~BOOLS)) for name, function in logical.items()]
    whole = {
        "add": np.add,
        "bitwise_and": np.bitwise_and,
        "bitwise_or": np.bitwise_or,
        "bitwise_xor": np.bitwise_xor,
        "floor_divide": np.floor_divide,
        "floor_mod": np.mod,
        "mod": np.fmod,
        "divide": lambda a, b: np.trunc(a / b).astype("int32"),
    }
    cases += [(f"{name}(%i, %j)", function(I32, J32)) for name, function in whole.items()]
    cases += [("right_shift(%i, 1)", I32 >> 1), ("left_shift(%i, 2)", I32 << 2)]
    inputs = {"x": X, "y": Y, "b": BOOLS, "c": ~BOOLS, "i": I32, "j": J32}
    check(tmp_path, inputs, cases, tolerance=1e-4)


def test_numbers_conversions_and_choices(tmp_path: Path) -> None:
    wide = np.array([3, -3, 250, 70000], "int32")
    cases = [
        ("clip(%x, a_min=-1f, a_max=0.5f)", X.clip(-1, 0.5)),
        ("clip(%i, a_min=-127f, a_max=127f)", wide.clip(-127, 127)),
        ("clip(%i, a_min=-3.40282e+38f, a_max=100f)", wide.clip(None, 100)),
        (
            'clip(cast(%x, dtype="float16"), a_min=-3.40282e+38f, a_max=0f)',
            X.astype("float16").clip(None, 0),
        ),
        ('cast(%x, dtype="int32")', X.astype("int32")),
        ("cast_like(%i, %x)", wide.astype("float32")),
        ("where(greater(%x, 0f), %x, 1.5f)", np.where(X > 0, X, np.float32(1.5))),
        ("add(%x, 2f)", X + 2),
        ("%x + 2f * %x", X + 2 * X),
        ("%x - 1f < 0f", X - 1 < 0),
        ("(%x, add(%x, 1f)).1", X + 1),
        ('reinterpret(%i, dtype="float32")', wide.view("float32")),
    ]
    check(tmp_path, {"x": X, "i": wide}, cases)


def test_reductions(tmp_path: Path) -> None:
    x64 = X.astype("float64")
    cases = [
        ("sum(%x)", X.sum()),
        ("sum(%x, axis=[1])", X.sum(1)),
        ("sum(%x, axis=[0, -1], keepdims=True)", X.sum((0, 2), keepdims=True)),
        ("sum(%x, axis=[1], exclude=True)", X.sum((0, 2))),
        ("mean(%x, axis=[2])", X.mean(2)),
        ("max(%x, axis=[1, 2])", X.max((1, 2))),
        ("min(%x)", X.min()),
        ("prod(%x, axis=[2])", X.prod(2)),
        ("all(%b, axis=[0])", (X > 0).all(0)),
        ("any(%b, axis=[1], keepdims=True)", (X > 0).any(1, keepdims=True)),
        ("argmax(%x, axis=[1])", X.argmax(1).astype("int32")),
        ("argmin(%x, axis=[2], keepdims=True)", X.argmin(2, keepdims=True).astype("int32")),
        ("argmax(%x)", np.int32(X.argmax())),
        ("argmax(%t, axis=[0], select_last_index=True)", np.array([2], "int32")),
        ("argmax(%t, axis=[0])", np.array([1], "int32")),
        ("variance(%x, mean(%x, axis=[1], keepdims=True), axis=[1])", x64.var(1).astype("float32")),
        ("std(%x, mean(%x, axis=[2], keepdims=True), axis=[2])", x64.std(2).astype("float32")),
        (
            "variance(%x, mean(%x, axis=[1], keepdims=True), axis=[1], unbiased=True)",
            X.var(1, ddof=1),
        ),
        ("logsumexp(%x, axis=[1])", special.logsumexp(X, 1)),
        ("cumsum(%x, axis=1)", X.cumsum(1)),
        ("cumsum(%x)", X.reshape(-1).cumsum()),
        ("cumprod(%x, axis=2)", X.cumprod(2)),
        ("cumsum(%x, axis=2, exclusive=True)", X.cumsum(2) - X),
    ]
    ties = np.array([[1], [5], [5], [0]], "float32")
    check(tmp_path, {"x": X, "b": X > 0, "t": ties}, cases)


def test_shapes(tmp_path: Path) -> None:
    flat = X.reshape(-1)
    cases = [
        ("reshape(%x, newshape=[4, -1])", X.reshape(4, 6)),
        ("reshape(%x, newshape=[0, -1])", X.reshape(2, 12)),
        ("reshape(%x, newshape=[-3, 4])", X.reshape(6, 4)),
        ("reshape(%x, newshape=[0, 0, -4, 2, -1])", X.reshape(2, 3, 2, 2)),
        ("reshape(%x, newshape=[-2, 1])", X[..., None]),
        ("reshape_like(%x, %z)", X.reshape(6, 4)),
        ("contrib_reverse_reshape(%x, newshape=[-1, 0])", X.reshape(6, 4)),
        ("expand_dims(%x, axis=1)", X[:, None]),
        ("expand_dims(%x, axis=-1, num_newaxis=2)", X[..., None, None]),
        ("squeeze(expand_dims(%x, axis=0), axis=[0])", X),
        ("squeeze(expand_dims(%x, axis=0))", X),
        ("transpose(%x, axes=[2, 0, 1])", X.transpose(2, 0, 1)),
        ("transpose(%x)", X.transpose()),
        ("nn.batch_flatten(%x)", X.reshape(2, 12)),
        ("concatenate((%x, %x), axis=1)", np.concatenate([X, X], 1)),
        ("stack((%x, %x), axis=-1)", np.stack([X, X], -1)),
        ("split(%x, indices_or_sections=2, axis=2)", np.split(X, 2, 2)),
        ("split(%x, indices_or_sections=[1, 2], axis=1).1", X[:, 1:2]),
        ("tile(%x, reps=[2, 1, 3])", np.tile(X, (2, 1, 3))),
        ("repeat(%x, repeats=2, axis=1)", X.repeat(2, 1)),
        ("repeat(%x, repeats=3)", X.repeat(3)),
        ("reverse(%x, axis=2)", X[..., ::-1]),
        ("broadcast_to(%x, shape=[5, 2, 3, 4])", np.broadcast_to(X, (5, 2, 3, 4))),
        (
            "broadcast_to_like(reshape(%x, newshape=[1, 2, 3, 4]), %q)",
            np.broadcast_to(X, (5, 2, 3, 4)),
        ),
        ("collapse_sum_like(%q, %x)", np.ones((5, 2, 3, 4), "float32").sum(0)),
        ("collapse_sum_to(%x, shape=[3, 1])", X.sum((0, 2)).reshape(3, 1)),
        ("shape_of(%x)", np.array([2, 3, 4], "int32")),
        ('ndarray_size(%x, dtype="int64")', np.int64(24)),
        ("sequence_mask(transpose(%x, axes=[1, 0, 2]), %l)", _masked()),
        ("reverse_sequence(%x, %l, seq_axis=1, batch_axis=0)", _reversed()),
        ('layout_transform(%p, src_layout="NCHW", dst_layout="NHWC")', P.transpose(0, 2, 3, 1)),
        (
            'layout_transform(%p, src_layout="NCHW", dst_layout="NCHW2c")',
            P.reshape(1, 2, 2, 3, 3).transpose(0, 1, 3, 4, 2),
        ),
        (
            'layout_transform(layout_transform(%p, src_layout="NCHW", dst_layout="NCHW2c"), '
            'src_layout="NCHW2c", dst_layout="NHWC")',
            P.transpose(0, 2, 3, 1),
        ),
    ]
    inputs = {
        "x": X,
        "z": flat.reshape(6, 4),
        "q": np.ones((5, 2, 3, 4), "float32"),
        "l": LENGTHS,
        "p": P,
    }
    check(tmp_path, inputs, cases)


P = RNG.uniform(-1, 1, (1, 4, 3, 3)).astype("float32")
LENGTHS = np.array([2, 1], "int32")


def _masked() -> np.ndarray:
    kept = np.arange(3)[:, None] < LENGTHS[None, :]
    return X.transpose(1, 0, 2) * kept[..., None]


def _reversed() -> np.ndarray:
    out = X.copy()
    for row, length in enumerate(LENGTHS):
        out[row, :length] = X[row, :length][::-1]
    return out


def test_slices_and_indices(tmp_path: Path) -> None:
    m = RNG.uniform(-1, 1, (4, 5)).astype("float32")
    at = np.array([[0, 3], [2, 9]], "int32")
    pick = np.array([[1, 4, 0], [2, 2, 3]], "int64")
    coordinates = np.array([[0, 3, 1], [4, 0, 2]], "int32")
    scattered, added, put = m.copy(), m.copy(), m.copy()
    updates = np.array([[9.0, 8, 7], [6, 5, 4]], "float32")
    for row in range(2):
        for column in range(3):
            scattered[row, pick[row, column]] = updates[row, column]
            added[row, pick[row, column]] += updates[row, column]
    for number in range(3):
        put[coordinates[0, number], coordinates[1, number]] += updates[0, number]
    cases = [
        ("strided_slice(%m, begin=[1, 0], end=[3, 5], strides=[1, 2])", m[1:3, 0:5:2]),
        ("strided_slice(%m, begin=[-2], end=[100], strides=[1], axes=[1])", m[:, -2:]),
        ("strided_slice(%m, begin=[4, 1], end=[-6, 3], strides=[-1, 1])", m[4:-6:-1, 1:3]),
        (
            'strided_slice(%m, begin=[1, 2], end=[2, -1], strides=[1], slice_mode="size")',
            m[1:3, 2:],
        ),
        ("slice_like(%m, %s)", m[:2, :3]),
        ("slice_like(%m, %s, axes=[0])", m[:2]),
        ("take(%m, %a, axis=0)", m[at.clip(0, 3)]),
        ('take(%m, %a, axis=1, mode="wrap")', m[:, at % 5]),
        ("take(%m, %p)", m.reshape(-1)[pick]),
        ("take(%m, 2, axis=1)", m[:, 2]),
        ("gather(%m, %g, axis=1)", np.take_along_axis(m, np.concatenate([pick, pick]), 1)),
        ("gather_nd(%m, %n)", m[coordinates[0], coordinates[1]]),
        ("scatter_elements(%m, %p, %v, axis=1)", scattered),
        ("scatter_add(%m, %p, %v, axis=1)", added),
        (
            "scatter_nd(%m, %n, squeeze(strided_slice(%v, begin=[0], "
            'end=[1], axes=[0]), axis=[0]), mode="add")',
            put,
        ),
        (
            'one_hot(%o, 1f, 0f, depth=4, axis=-1, dtype="float32")',
            np.eye(4, dtype="float32")[[0, 3, 2]],
        ),
        (
            "one_hot(%o, 2f, -1f, depth=4, axis=0)",
            (np.eye(4, dtype="float32")[[0, 3, 2]] * 3 - 1).T,
        ),
        ("trilu(%m, 1, upper=True)", np.triu(m, 1)),
        ("trilu(%m, 0, upper=False)", np.tril(m)),
        ("adv_index((%m, %o))", m[[0, 3, 2]]),
        (
            "meshgrid((%o, %k))",
            np.meshgrid(np.array([0, 3, 2], "int32"), np.arange(2, dtype="int32"), indexing="ij"),
        ),
        ("sort(%m, axis=1)", np.sort(m, 1)),
        ("argsort(%m, axis=1)", np.argsort(m, 1).astype("int32")),
        ('argsort(%m, axis=1, is_ascend=False, dtype="int64")', np.argsort(-m, 1)),
        ("topk(%m, k=2)", [-np.sort(-m, 1)[:, :2], np.argsort(-m, 1)[:, :2].astype("int32")]),
        ('topk(%m, k=1, axis=0, ret_type="values", is_ascend=True)', np.sort(m, 0)[:1]),
        ('zeros(shape=[2, 3], dtype="int32")', np.zeros((2, 3), "int32")),
        ('ones(shape=[100], dtype="float32")', np.ones(100, "float32")),
        ('full(3f, shape=[2], dtype="float32")', np.full(2, 3, "float32")),
        ("full_like(%m, 2f)", np.full_like(m, 2)),
        ('arange(0, 10, 3, dtype="int32")', np.arange(0, 10, 3, "int32")),
        ("searchsorted(%w, %u)", np.array([1, 3], "int32")),
    ]
    inputs = {
        "m": m,
        "s": np.zeros((2, 3), "float32"),
        "a": at,
        "p": pick,
        "n": coordinates,
        "g": np.concatenate([pick, pick]),
        "v": updates,
        "o": np.array([0, 3, 2], "int32"),
        "k": np.arange(2, dtype="int32"),
        "w": np.array([0, 1, 2, 3], "float32"),
        "u": np.array([0.5, 2.5], "float32"),
    }
    check(tmp_path, inputs, cases)


def convolved(data, kernel, stride=1, pad=(0, 0, 0, 0), dilation=1, groups=1):
    top, left, bottom, right = pad
    data = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    outs, ins, kh, kw = kernel.shape
    height = (data.shape[2] - dilation * (kh - 1) - 1) // stride + 1
    width = (data.shape[3] - dilation * (kw - 1) - 1) // stride + 1
    out = np.zeros((data.shape[0], outs, height, width), np.result_type(data, kernel))
    for o in range(outs):
        first = o // (outs // groups) * ins
        for y in range(kh):
            for x in range(kw):
                part = data[
                    :,
                    first : first + ins,
                    y * dilation : y * dilation + stride * (height - 1) + 1 : stride,
                    x * dilation : x * dilation + stride * (width - 1) + 1 : stride,
                ]
                out[:, o] += (part * kernel[o, :, y, x][None, :, None, None]).sum(1)
    return out


def convolved_transposed(data, kernel, stride, pad, out_pad=0):
    n, _, h, w = data.shape
    _, outs, kh, kw = kernel.shape
    full = np.zeros(
        (n, outs, (h - 1) * stride + kh + out_pad, (w - 1) * stride + kw + out_pad), "float32"
    )
    for y in range(h):
        for x in range(w):
            full[:, :, y * stride : y * stride + kh, x * stride : x * stride + kw] += np.einsum(
                "ni,iokl->nokl", data[:, :, y, x], kernel
            )
    return full[:, :, pad : full.shape[2] - pad, pad : full.shape[3] - pad]


def test_convolutions(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 4, 7, 6)).astype("float32")
    k = RNG.uniform(-1, 1, (6, 4, 3, 3)).astype("float32")
    g = RNG.uniform(-1, 1, (6, 2, 3, 3)).astype("float32")
    w = RNG.uniform(-1, 1, (4, 1, 3, 3)).astype("float32")
    m = RNG.uniform(-1, 1, (8, 1, 3, 3)).astype("float32")
    t = RNG.uniform(-1, 1, (4, 5, 3, 3)).astype("float32")
    i8, k8 = (RNG.integers(-9, 9, a.shape, "int8") for a in (d, k))
    nhwc, back = d.transpose(0, 2, 3, 1), (0, 2, 3, 1)
    line, k1 = d[:, :, 0], k[:, :, 0]
    deep, k3 = d[:, :, None].repeat(3, 2), k[:, :, None].repeat(2, 2)
    plain = convolved(d, k, 1, (1, 1, 1, 1))
    chunked = plain.reshape(1, 3, 2, 7, 6).transpose(0, 1, 3, 4, 2)
    cases = [
        ("nn.conv2d(%d, %k, padding=[1, 1, 1, 1], channels=6, kernel_size=[3, 3])", plain),
        ("nn.conv2d(%d, %k, strides=[2, 2], padding=[1, 0])", convolved(d, k, 2, (1, 0, 1, 0))),
        ("nn.conv2d(%d, %k, dilation=[2, 2])", convolved(d, k, dilation=2)),
        ("nn.conv2d(%d, %g, groups=2)", convolved(d, g, groups=2)),
        ("nn.conv2d(%d, %w, groups=4, channels=4)", convolved(d, w, groups=4)),
        ("nn.conv2d(%d, %m, groups=4, channels=8)", convolved(d, m, groups=4)),
        (
            'nn.conv2d(%h, %kh, data_layout="NHWC", kernel_layout="HWIO")',
            convolved(d, k).transpose(back),
        ),
        (
            'nn.conv2d(%h, %wh, groups=4, data_layout="NHWC", kernel_layout="HWOI")',
            convolved(d, w, groups=4).transpose(back),
        ),
        (
            'nn.conv2d(%h, %mh, groups=4, channels=8, data_layout="NHWC", kernel_layout="HWOI")',
            convolved(d, m, groups=4).transpose(back),
        ),
        ('nn.conv2d(%d, %k, padding=[1, 1, 1, 1], out_layout="NCHW2c")', chunked),
        (
            "nn.contrib_conv2d_NCHWc(%dc, %kc, padding=[1, 1, 1, 1], "
            'data_layout="NCHW2c", kernel_layout="OIHW2i2o", out_layout="NCHW2c")',
            chunked,
        ),
        (
            'nn.conv2d(%i, %j, out_dtype="int32")',
            convolved(i8.astype("int32"), k8.astype("int32")),
        ),
        ("nn.conv1d(%l, %k1, padding=[1])", _line(line, k1)),
        ("nn.conv3d(%e, %k3)", _deep(deep, k3)),
        (
            "nn.conv2d_transpose(%d, %t, strides=[2, 2], padding=[1, 1], output_padding=[1, 1])",
            convolved_transposed(d, t, 2, 1, 1),
        ),
        (
            "nn.conv2d_transpose(%h, %to, strides=[2, 2], "
            'data_layout="NHWC", kernel_layout="HWOI")',
            convolved_transposed(d, t, 2, 0).transpose(back),
        ),
        (
            "nn.conv1d_transpose(%l, %t1, strides=[2])",
            convolved_transposed(d[:, :, :1], t[:, :, :1], 2, 0)[:, :, 0],
        ),
        (
            "nn.conv3d_transpose(%e1, %t3, strides=[1, 2, 2])",
            convolved_transposed(d, t, 2, 0)[:, :, None],
        ),
    ]
    inputs = {
        "d": d,
        "h": nhwc,
        "l": line,
        "e": deep,
        "e1": d[:, :, None],
        "i": i8,
        "dc": d.reshape(1, 2, 2, 7, 6).transpose(0, 1, 3, 4, 2).copy(),
    }
    params = {
        "k": k,
        "g": g,
        "w": w,
        "m": m,
        "t": t,
        "k1": k1,
        "k3": k3,
        "j": k8,
        "t1": t[:, :, 0],
        "t3": t[:, :, None],
        "kh": k.transpose(2, 3, 1, 0),
        "wh": w.transpose(2, 3, 0, 1),
        # TensorFlow's: channels, then the multiplier.
        "mh": m.reshape(4, 2, 3, 3).transpose(2, 3, 0, 1),
        "to": t.transpose(2, 3, 1, 0),
        "kc": k.reshape(3, 2, 2, 2, 3, 3).transpose(0, 2, 4, 5, 3, 1).copy(),
    }
    inputs = {name: np.ascontiguousarray(a) for name, a in inputs.items()}
    params = {name: np.ascontiguousarray(a) for name, a in params.items()}
    check(tmp_path, inputs, cases, params, tolerance=1e-4)


def _line(line, kernel):
    return convolved(line[:, :, None], kernel[:, :, None], 1, (0, 1, 0, 1))[:, :, 0]


def _deep(deep, kernel):
    slices = []
    for z in range(deep.shape[2] - kernel.shape[2] + 1):
        slices.append(
            sum(convolved(deep[:, :, z + i], kernel[:, :, i]) for i in range(kernel.shape[2]))
        )
    return np.stack(slices, 2)


def test_matrix_products_and_bias(tmp_path: Path) -> None:
    a = RNG.uniform(-1, 1, (2, 3, 5)).astype("float32")
    b = RNG.uniform(-1, 1, (2, 4, 5)).astype("float32")
    w = RNG.uniform(-1, 1, (4, 5)).astype("float32")
    a8, w8 = RNG.integers(-99, 99, (3, 5), "int8"), RNG.integers(-99, 99, (4, 5), "int8")
    cases = [
        ("nn.dense(%f, %w, units=4)", a[0] @ w.T),
        ("nn.dense(%a, %w, units=4)", a @ w.T),
        ('nn.dense(%i, %j, units=4, out_dtype="int32")', a8.astype("int32") @ w8.T.astype("int32")),
        ("nn.matmul(%f, %w, units=4, transpose_b=True)", a[0] @ w.T),
        ("nn.batch_matmul(%a, %b, transpose_b=True)", a @ b.transpose(0, 2, 1)),
        ("nn.batch_matmul(%a, %b)", a @ b.transpose(0, 2, 1)),
        ("nn.batch_matmul(%a, transpose(%b, axes=[0, 2, 1]))", a @ b.transpose(0, 2, 1)),
        ('einsum((%a, %b), equation="bik,bjk->bij")', a @ b.transpose(0, 2, 1)),
        ("nn.bias_add(%a, %c, axis=-1)", a + np.arange(5, dtype="float32")),
        ("nn.bias_add(%a, %c3)", a + np.arange(3, dtype="float32")[:, None]),
    ]
    inputs = {"a": a, "b": b, "f": a[0], "i": a8}
    params = {
        "w": w,
        "j": w8,
        "c": np.arange(5, dtype="float32"),
        "c3": np.arange(3, dtype="float32"),
    }
    check(tmp_path, inputs, cases, params)


def _pooled(d, size, stride, pad, function, count_pad=True):
    wide = np.pad(d, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=np.nan)
    height, width = ((n - size) // stride + 1 for n in wide.shape[2:])
    out = np.zeros((*d.shape[:2], height, width), "float32")
    for y in range(height):
        for x in range(width):
            out[..., y, x] = function(
                wide[..., y * stride : y * stride + size, x * stride : x * stride + size],
                axis=(2, 3),
            )
    return out


def test_pools(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 3, 6, 6)).astype("float32")
    h = np.ascontiguousarray(d.transpose(0, 2, 3, 1))
    with np.errstate(all="ignore"):
        cases = [
            ("nn.max_pool2d(%d, pool_size=[2, 2], strides=[2, 2])", _pooled(d, 2, 2, 0, np.nanmax)),
            (
                "nn.max_pool2d(%d, pool_size=[3, 3], strides=[2, 2], padding=[1, 1, 1, 1])",
                _pooled(d, 3, 2, 1, np.nanmax),
            ),
            (
                "nn.avg_pool2d(%d, pool_size=[3, 3], strides=[2, 2], padding=[1, 1])",
                _pooled(d, 3, 2, 1, np.nanmean),
            ),
            (
                'nn.max_pool2d(%h, pool_size=[2, 2], strides=[2, 2], layout="NHWC")',
                _pooled(d, 2, 2, 0, np.nanmax).transpose(0, 2, 3, 1),
            ),
            (
                "nn.avg_pool2d(%d, pool_size=[2, 2], padding=[1, 1, 1, 1], count_include_pad=True)",
                _pooled(np.pad(d, ((0, 0), (0, 0), (1, 1), (1, 1))), 2, 1, 0, np.mean),
            ),
            (
                "nn.max_pool2d(%d, pool_size=[4, 4], strides=[4, 4], ceil_mode=True)",
                _pooled(
                    np.pad(d, ((0, 0), (0, 0), (0, 2), (0, 2)), constant_values=-9), 4, 4, 0, np.max
                ),
            ),
            (
                "nn.max_pool1d(%l, pool_size=[2], strides=[2])",
                d[:, :, 0].reshape(1, 3, 3, 2).max(3),
            ),
            (
                "nn.avg_pool1d(%l, pool_size=[2], strides=[2])",
                d[:, :, 0].reshape(1, 3, 3, 2).mean(3),
            ),
            (
                "nn.max_pool3d(%e, pool_size=[2, 2, 2], strides=[2, 2, 2])",
                _pooled(d, 2, 2, 0, np.max)[:, :, None],
            ),
            (
                "nn.avg_pool3d(%e, pool_size=[2, 2, 2], strides=[2, 2, 2])",
                _pooled(d, 2, 2, 0, np.mean)[:, :, None],
            ),
            ("nn.global_avg_pool2d(%d)", d.mean((2, 3), keepdims=True)),
            ('nn.global_max_pool2d(%h, layout="NHWC")', h.max((1, 2), keepdims=True)),
            ("nn.global_avg_pool1d(%l)", d[:, :, 0].mean(2, keepdims=True)),
            (
                "nn.adaptive_avg_pool2d(%d, output_size=[3, 2])",
                d.reshape(1, 3, 3, 2, 2, 3).mean((3, 5)),
            ),
            ("nn.adaptive_max_pool2d(%d, output_size=[1])", d.max((2, 3), keepdims=True)),
            ("nn.adaptive_max_pool1d(%l, output_size=[3])", d[:, :, 0].reshape(1, 3, 3, 2).max(3)),
            (
                "nn.adaptive_avg_pool3d(%e, output_size=[1, 3, 3])",
                _pooled(d, 2, 2, 0, np.mean)[:, :, None],
            ),
        ]
    e = d[:, :, None].repeat(2, 2)
    check(tmp_path, {"d": d, "h": h, "l": d[:, :, 0].copy(), "e": e}, cases)


def test_normalisations_and_activations(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (2, 4, 3, 3)).astype("float32")
    a, b, m = (RNG.uniform(-1, 1, 4).astype("float32") for _ in range(3))
    v = RNG.uniform(0.5, 1, 4).astype("float32")
    wide = [p[None, :, None, None] for p in (a, b, m, v)]

    def normal(x, axes, epsilon=1e-5):
        return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)

    groups = normal(d.reshape(2, 2, 2, 3, 3), (2, 3, 4)).reshape(d.shape)
    square = np.pad(d**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    near = square[:, :4] + square[:, 1:5] + square[:, 2:6]
    batch = (d - wide[2]) / np.sqrt(wide[3] + 1e-3) * wide[0] + wide[1]
    plain = (d - wide[2]) / np.sqrt(wide[3] + 1e-5)
    cases = [
        ("nn.batch_norm(%d, %a, %b, %m, %v, epsilon=0.001f)", [batch, m, v]),
        ("nn.batch_norm(%d, %a, %b, %m, %v, scale=False, center=False).0", plain),
        ("nn.batch_norm(%d, %fa, %fb, %fm, %fv, epsilon=0.001f).0", batch),
        ("nn.layer_norm(%d, %a3, %b3)", normal(d, 3) * a[:3] + b[:3]),
        ("nn.instance_norm(%d, %a, %b)", normal(d, (2, 3)) * wide[0] + wide[1]),
        ("nn.group_norm(%d, %a, %b, num_groups=2)", groups * wide[0] + wide[1]),
        ("nn.l2_normalize(%d, eps=1e-06f, axis=[1])", d / np.sqrt((d**2).sum(1, keepdims=True))),
        ("nn.lrn(%d, size=3, alpha=0.1f, beta=0.5f, bias=1f)", d / np.sqrt(1 + 0.1 / 3 * near)),
        ("nn.leaky_relu(%d, alpha=0.1f)", np.where(d > 0, d, 0.1 * d).astype("float32")),
        ("nn.prelu(%d, %a)", np.where(d > 0, d, wide[0] * d)),
        ("nn.softmax(%d, axis=1)", softmax(d, 1)),
        ("nn.log_softmax(%d)", np.log(softmax(d, 3))),
        ("nn.dropout(%d, rate=0.5f).0", d),
    ]
    params = {"a": a, "b": b, "m": m, "v": v, "a3": a[:3], "b3": b[:3]}
    inputs = {"d": d, "fa": a, "fb": b, "fm": m, "fv": v}
    body = "\n".join(f"%{i} = {text};" for i, (text, _) in enumerate(cases))
    body += "(" + ", ".join(f"%{i}" for i in range(len(cases))) + ")"
    path = write(tmp_path, body, inputs, params)
    options = ImportOptions(shapes=dict.fromkeys(("fa", "fb", "fm", "fv"), (4,)))
    found = run(path, inputs, options)
    for text, expected in cases:
        for want in expected if isinstance(expected, list) else [expected]:
            np.testing.assert_allclose(found.pop(0), want, rtol=1e-4, atol=1e-5, err_msg=text)


def test_pictures(tmp_path: Path) -> None:
    d = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    c = RNG.uniform(-1, 1, (1, 8, 2, 3)).astype("float32")
    i8 = np.arange(4, dtype="int8").reshape(2, 2)
    double = d.repeat(2, 2).repeat(2, 3)
    deep = c.reshape(1, 2, 2, 2, 2, 3)
    cases = [
        (
            "nn.pad(%d, 0f, pad_width=[[0, 0], [0, 0], [1, 0], [0, 2]])",
            np.pad(d, ((0, 0), (0, 0), (1, 0), (0, 2))),
        ),
        (
            "nn.pad(%d, 3f, pad_width=[[0, 0], [0, 0], [1, 1], [1, 1]])",
            np.pad(d, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=3),
        ),
        (
            "nn.pad(%i, -128i8, pad_width=[[1, 0], [0, 1]])",
            np.pad(i8, ((1, 0), (0, 1)), constant_values=-128),
        ),
        (
            'nn.pad(%d, 0f, pad_width=[[0, 0], [0, 0], [1, 1], [0, 2]], pad_mode="edge")',
            np.pad(d, ((0, 0), (0, 0), (1, 1), (0, 2)), "edge"),
        ),
        (
            'nn.pad(%d, 0f, pad_width=[[0, 0], [0, 0], [1, 1], [0, 2]], pad_mode="reflect")',
            np.pad(d, ((0, 0), (0, 0), (1, 1), (0, 2)), "reflect"),
        ),
        (
            'nn.mirror_pad(%d, mode="SYMMETRIC", pad_width=[[0, 0], [0, 0], [2, 1], [0, 0]])',
            np.pad(d, ((0, 0), (0, 0), (2, 1), (0, 0)), "symmetric"),
        ),
        ("nn.upsampling(%d, scale_h=2f, scale_w=2f)", double),
        ('nn.upsampling(%h, scale_h=2f, scale_w=2f, layout="NHWC")', double.transpose(0, 2, 3, 1)),
        (
            "nn.upsampling3d(%z, scale_d=1f, scale_h=2f, scale_w=2f, "
            'coordinate_transformation_mode="asymmetric")',
            double[:, :, None],
        ),
        (
            "image.resize2d(%d, size=[8, 8], roi=[0f, 0f, 0f, 0f], "
            'method="nearest_neighbor", '
            'coordinate_transformation_mode="asymmetric", rounding_method="floor")',
            double,
        ),
        (
            'image.resize2d(%d, size=[7, 7], method="linear", '
            'coordinate_transformation_mode="align_corners")',
            _fine(),
        ),
        (
            "nn.upsampling(%d, scale_h=1.75f, scale_w=1.75f, "
            'method="bilinear", align_corners=True)',
            _fine(),
        ),
        ('image.resize1d(%l, size=[2], method="linear")', np.array([[[0.5, 2.5]]], "float32")),
        (
            "nn.depth_to_space(%c, block_size=2)",
            deep.transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6),
        ),
        (
            'nn.depth_to_space(%c, block_size=2, mode="CRD")',
            c.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 4, 6),
        ),
        ("nn.depth_to_space(nn.space_to_depth(%d, block_size=2), block_size=2)", d),
        (
            "nn.space_to_batch_nd(%d4, block_shape=[2, 2], paddings=[[0, 0], [0, 0]])",
            d.reshape(1, 2, 2, 2, 2, 1).transpose(2, 4, 0, 1, 3, 5).reshape(4, 2, 2, 1),
        ),
        (
            "nn.batch_to_space_nd(nn.space_to_batch_nd(%d4, "
            "block_shape=[2, 2], paddings=[[0, 0], [0, 0]]), "
            "block_shape=[2, 2], crops=[[0, 0], [0, 0]])",
            d.reshape(1, 4, 4, 1),
        ),
    ]
    inputs = {
        "d": d,
        "c": c,
        "i": i8,
        "h": np.ascontiguousarray(d.transpose(0, 2, 3, 1)),
        "z": d[:, :, None],
        "l": d[:, :, 0],
        "d4": d.reshape(1, 4, 4, 1),
    }
    check(tmp_path, inputs, cases)


def _fine() -> np.ndarray:
    steps = np.arange(7, dtype="float32") / 2
    return (steps[:, None] * 4 + steps[None, :])[None, None]


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_resizing_agrees_with_onnx_runtime(tmp_path: Path, method: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    d = RNG.uniform(-1, 1, (1, 2, 5, 7)).astype("float32")
    cases = []
    for mode in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
        node = helper.make_node(
            "Resize",
            ["d", "", "", "s"],
            ["y"],
            mode=method,
            cubic_coeff_a=-0.5,
            coordinate_transformation_mode=mode,
        )
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("d", TensorProto.FLOAT, d.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [helper.make_tensor("s", TensorProto.INT64, [4], [1, 2, 9, 4])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (expected,) = session.run(None, {"d": d})
        cases.append(
            (
                f'image.resize2d(%d, size=[9, 4], method="{method}", '
                f'coordinate_transformation_mode="{mode}")',
                expected,
            )
        )
    check(tmp_path, {"d": d}, cases, tolerance=1e-4)


def test_shapes_that_a_program_computes_are_known_once_its_inputs_are_fixed(tmp_path: Path) -> None:
    cases = [
        (
            "dyn.reshape(%x, stack((take(shape_of(%x), 0), "
            "multiply(take(shape_of(%x), 1), 4)), axis=0))",
            X.reshape(2, 12),
        ),
        ("dyn.broadcast_to(take(%x, 0, axis=0), shape_of(%x))", np.broadcast_to(X[0], X.shape)),
        ('dyn.zeros(shape_of(%x), dtype="float32")', np.zeros_like(X)),
        (
            "dyn.strided_slice(%x, stack((1, 0, 0)), stack((2, 2, 4)), stack((1, 1, 2)))",
            X[1:2, :2, ::2],
        ),
        ("dyn.tile(%x, stack((1, 2, 1)))", np.tile(X, (1, 2, 1))),
        ('dyn.topk(%x, 1, axis=2, ret_type="values")', X.max(2, keepdims=True)),
        ('dyn.full(2f, shape_of(%x), dtype="float32")', np.full_like(X, 2)),
    ]
    check(tmp_path, {"x": X}, cases)
