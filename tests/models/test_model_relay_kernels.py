"""Operators that TOPI's kernels compute, those of detectors, and defaults that text leaves out."""

from pathlib import Path

import numpy as np
import pytest
from made_relay import check
from test_model_relay_operators import convolved, convolved_transposed

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import import_model

RNG = np.random.default_rng(3)


def test_what_text_leaves_out_has_the_defaults_of_tvm(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 7, 2, 3)).astype("float32")
    line = np.arange(5, dtype="float32").reshape(1, 1, 5)
    wide = np.pad(d**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    near = sum(wide[:, first : first + 7] for first in range(5))
    at = np.floor((np.arange(3) + 0.5) * 5 / 3)  # x - 1/2, rounded
    nearest = 'image.resize1d(%l, size=[3], method="nearest_neighbor"'
    cases = [
        ("nn.lrn(%d)", d / (2 + 1e-4 / 5 * near) ** 0.75),
        ("nn.leaky_relu(%d)", np.where(d > 0, d, d / 4)),
        (f"{nearest})", line[..., at.astype(int)]),
        (f'{nearest}, rounding_method="")', line[..., [0, 2, 3]]),
        ("nn.max_pool2d(%d, pool_size=[2, 2])", np.maximum(_pairs(d)[0], _pairs(d)[1])),
        ("nn.upsampling(%d, scale_h=1.25f)", d[:, :, [0, 1]]),  # 2.5 rows are 2
        ("nn.softmax(%l)", np.exp(line) / np.exp(line).sum()),
    ]
    check(tmp_path, {"d": d, "l": line}, cases)


def _pairs(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.maximum(d[:, :, :-1], d[:, :, 1:])
    return rows[..., :-1], rows[..., 1:]


def test_a_transposed_kernel_of_old_files_is_input_channels_first(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 3, 4, 4)).astype("float32")
    k = RNG.uniform(-1, 1, (3, 3, 3, 3)).astype("float32")
    wanted = convolved_transposed(d, k, 2, 1)
    cases = [
        (f"nn.conv2d_transpose(%d, %k, strides=[2, 2], padding=[1, 1]{layout})", wanted)
        for layout in ("", ', kernel_layout="OIHW"', ', kernel_layout="IOHW"')
    ]
    check(tmp_path, {"d": d}, cases, {"k": k}, tolerance=1e-4)


def test_layouts_in_blocks(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 8, 4, 6)).astype("float32")
    k = RNG.uniform(-1, 1, (8, 1, 3, 3)).astype("float32")
    blocks = d.reshape(1, 2, 4, 4, 6).transpose(0, 1, 3, 4, 2)
    blocked_kernel = k.reshape(2, 4, 1, 3, 3).transpose(0, 2, 3, 4, 1)[..., None, :]

    def packed(value: np.ndarray) -> np.ndarray:
        n, _, height, width = value.shape
        return value.reshape(n, 2, 4, height, width).transpose(0, 1, 3, 4, 2)

    halves = d.reshape(1, 8, 2, 2, 3, 2)
    layouts = 'layout="NCHW4c"'
    cases = [
        (f"nn.global_avg_pool2d(%b, {layouts})", packed(d.mean((2, 3), keepdims=True))),
        (
            f"nn.max_pool2d(%b, pool_size=[2, 2], strides=[2, 2], {layouts})",
            packed(halves.max((3, 5))),
        ),
        (
            f"nn.adaptive_avg_pool2d(%b, output_size=[2, 3], {layouts})",
            packed(halves.mean((3, 5))),
        ),
        (
            'nn.contrib_depthwise_conv2d_NCHWc(%b, %k, groups=8, data_layout="NCHW4c", '
            'kernel_layout="OIHW1i4o", out_layout="NCHW4c")',
            packed(convolved(d, k, groups=8)),
        ),
        (
            'layout_transform(%w, src_layout="OI", dst_layout="OI4i2o2i")',
            _twice_split(),
        ),
    ]
    inputs = {"b": np.ascontiguousarray(blocks), "w": WEIGHTS}
    check(tmp_path, inputs, cases, {"k": np.ascontiguousarray(blocked_kernel)})


WEIGHTS = np.arange(64, dtype="float32").reshape(4, 16)


def _twice_split() -> np.ndarray:
    return WEIGHTS.reshape(2, 2, 2, 4, 2).transpose(0, 2, 3, 1, 4)


def test_matrices_that_are_packed_or_sparse(tmp_path: Path) -> None:
    x = RNG.uniform(-1, 1, (3, 6)).astype("float32")
    w = RNG.uniform(-1, 1, (8, 6)).astype("float32")
    sparse = w * (RNG.uniform(0, 1, w.shape) > 0.7)
    rows, columns = np.nonzero(sparse)
    begins = np.searchsorted(rows, np.arange(9)).astype("int32")
    blocks = w.reshape(4, 2, 2, 3).transpose(0, 2, 1, 3)[[0, 1, 2, 3], [0, 1, 1, 0]]
    full = np.zeros((4, 2, 2, 3), "float32")
    full[[0, 1, 2, 3], [0, 1, 1, 0]] = blocks
    params = {
        "p": np.ascontiguousarray(w.reshape(2, 4, 6).transpose(0, 2, 1)),
        "v": sparse[rows, columns],
        "c": columns.astype("int32"),
        "b": begins,
        "bv": np.ascontiguousarray(blocks),
        "bc": np.array([0, 1, 1, 0], "int32"),
        "bb": np.arange(5, dtype="int32"),
    }
    cases = [
        ('nn.contrib_dense_pack(%x, %p, weight_layout="NC4n", units=8)', x @ w.T),
        ("nn.sparse_dense(%x, %v, %c, %b)", x @ sparse.T),
        ("nn.sparse_dense(%x, %bv, %bc, %bb)", x @ full.transpose(0, 2, 1, 3).reshape(8, 6).T),
    ]
    check(tmp_path, {"x": x}, cases, params)


def test_fourier_transforms_and_windows(tmp_path: Path) -> None:
    re, im = (RNG.uniform(-1, 1, (2, 8)).astype("float32") for _ in range(2))
    found = np.fft.fft(re + 1j * im)
    back = np.fft.ifft(re + 1j * im)
    window = np.hanning(4).astype("float32")
    frames = np.stack([re[:, first : first + 4] * window for first in (0, 2, 4)], 1)
    spectrum = np.fft.rfft(frames).transpose(0, 2, 1)
    cases = [
        ("dft(%r, %i)", [found.real.astype("float32"), found.imag.astype("float32")]),
        ("dft(%r, %i, inverse=True)", [back.real.astype("float32"), back.imag.astype("float32")]),
        (
            "stft(%r, %w, n_fft=4, hop_length=2, win_length=4, onesided=True)",
            np.stack([spectrum.real, spectrum.imag], -1).astype("float32"),
        ),
        (
            "sliding_window(%r, axis=1, window_shape=[3], strides=[2])",
            np.stack([re[:, first : first + 3] for first in (0, 2, 4)], 1),
        ),
        (
            "matrix_set_diag(%m, %z)",
            np.where(np.eye(3, dtype=bool), np.float32(9), np.float32(1)),
        ),
    ]
    inputs = {
        "r": re,
        "i": im,
        "w": window,
        "m": np.ones((3, 3), "float32"),
        "z": np.full(3, 9, "float32"),
    }
    check(tmp_path, inputs, cases, tolerance=1e-4)


def test_detectors(tmp_path: Path) -> None:
    d = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    rois = np.array([[0, 0, 0, 3, 3]], "float32")
    boxes = np.array(
        [
            [
                [0, 0.9, 0, 0, 10, 10],
                [0, 0.8, 1, 1, 10, 10],
                [0, 0.05, 0, 0, 5, 5],
                [0, 0.7, 20, 20, 30, 30],
            ]
        ],
        "float32",
    )
    count, order = np.array([4], "int32"), np.arange(4, dtype="int32")[None]
    kept = np.full_like(boxes, -1)
    kept[0, 0], kept[0, 1], kept[0, 2] = boxes[0, 0], boxes[0, 3], boxes[0, 2]
    anchors = []
    for y in range(4):
        for x in range(4):
            cy, cx = (y + 0.5) / 4, (x + 0.5) / 4
            for w, h in ((0.5, 0.5), (0.5 * 2**0.5, 0.5 / 2**0.5)):
                anchors.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
    cases = [
        (
            "vision.roi_pool(%d, %r, pooled_size=[2, 2], spatial_scale=1f)",
            np.array([[[[5, 7], [13, 15]]]], "float32"),
        ),
        (
            "vision.multibox_prior(%d, sizes=[0.5f], ratios=[1f, 2f])",
            np.array([anchors], "float32"),
        ),
        (
            "image.crop_and_resize(%d, %c, %n, crop_size=[2, 2])",
            np.array([[[[0, 3], [12, 15]]]], "float32"),
        ),
        (
            "vision.get_valid_counts(%b, 0.1f, id_index=0, score_index=1).0",
            np.array([3], "int32"),
        ),
        (
            "vision.non_max_suppression(%b, %v, %o, -1, 0.5f, force_suppress=True, "
            "return_indices=False, invalid_to_bottom=True)",
            kept,
        ),
        (
            "image.dilation2d(%d, %e)",
            np.array([[[[5, 6, 7], [9, 10, 11], [13, 14, 15]]]], "float32"),
        ),
    ]
    inputs = {"d": d, "r": rois, "b": boxes, "v": count, "o": order}
    inputs |= {"c": np.array([[0, 0, 1, 1]], "float32"), "n": np.array([0], "int32")}
    check(tmp_path, inputs, cases, {"e": np.zeros((1, 2, 2), "float32")})


def test_a_deformable_convolution_without_offsets_is_a_plain_one(tmp_path: Path) -> None:
    d = RNG.uniform(-1, 1, (1, 2, 5, 5)).astype("float32")
    k = RNG.uniform(-1, 1, (3, 2, 3, 3)).astype("float32")
    offsets = np.zeros((1, 18, 3, 3), "float32")
    cases = [("nn.deformable_conv2d(%d, %o, %k)", convolved(d, k))]
    check(tmp_path, {"d": d, "o": offsets}, cases, {"k": k}, tolerance=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        "nn.sparse_dense(%x, %x, %x, %x)",
        "sliding_window(%x, axis=0, window_shape=[9, 9], strides=[1, 1])",
        "stft(%x, %x, n_fft=99, hop_length=0)",
        "vision.multibox_prior(%x, ratios=[-1f])",
        "nn.correlation(%x, %x, kernel_size=0)",
    ],
)
def test_what_they_cannot_take_is_refused(tmp_path: Path, call: str) -> None:
    path = tmp_path / "model.relay"
    path.write_text(f"def @main(%x: Tensor[(2, 3), float32]) {{ {call} }}")
    with pytest.raises(ModelUnreadableError, match=rf"line 1: {call.partition('(')[0]}: "):
        import_model(path)
