"""Operators of the TFLite importer that go by indices, transform signals or choose boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litert import by_edgetvm, by_litert, furthest
from made_operators import Op, Sub, T, const, write_graphs
from tflite_batch import FLOAT, Batch, numbers, together


@together(
    case=[
        ((3, 1), (3, 4), (6, 4)),
        ((2, 2, 2), (2, 2, 3), (4, 5, 3)),
        ((4, 3), (4,), (3, 4, 5)),
    ],
    dtype=["float32", "int32"],
    known=[True, False],
)
def test_scatter_nd(batch: Batch, case: Any, dtype: str, known: bool) -> None:
    places, updates, shape = case
    random = np.random.default_rng(1)
    depth = places[-1]
    indices = np.stack([random.integers(0, shape[at], places[:-1]) for at in range(depth)], -1)
    tensors = [const(indices), T(updates, dtype), const(shape)]
    if not known:
        tensors[0] = T(places, "int32")
    batch.add("SCATTER_ND", tensors, [T(shape, dtype)], low=0, high=2, allowed=FLOAT)


@together(begin=[[0, 1, 2], [1, -3, 9], None], dtype=["float32", "int8"])
def test_dynamic_update_slice(batch: Batch, begin: list[int] | None, dtype: str) -> None:
    more: dict[str, Any] = {} if dtype == "float32" else {"scale": 0.1, "zero": 3}
    where = T((3,), "int32") if begin is None else const(begin)
    tensors = [T((2, 5, 6), dtype, **more), T((2, 2, 3), dtype, **more), where]
    out = T((2, 5, 6), dtype, **more)
    batch.add("DYNAMIC_UPDATE_SLICE", tensors, [out], low=0, high=4)


@together(axes=[(1, 0), (0, 1), (2, 0)])
def test_reverse_sequence(batch: Batch, axes: tuple[int, int]) -> None:
    seq, by = axes
    lengths = const(np.random.default_rng(0).integers(1, (4, 4, 5)[seq], (4, 4, 5)[by]))
    options = ("ReverseSequenceOptions", {"seqDim": seq, "batchDim": by})
    batch.add("REVERSE_SEQUENCE", [T((4, 4, 5)), lengths], [T((4, 4, 5))], options)


@together()
def test_diagonals(batch: Batch) -> None:
    batch.add("MATRIX_DIAG", [T((2, 4))], [T((2, 4, 4))])
    for shape, size in (((2, 3, 5), 3), ((2, 5, 3), 3)):
        batch.add("MATRIX_SET_DIAG", [T(shape), T((2, size))], [T(shape)])


@together()
def test_segments(batch: Batch) -> None:
    numbers_in_order = const([0, 0, 1, 2, 2])
    batch.add("SEGMENT_SUM", [T((5, 2, 3)), numbers_in_order], [T((3, 2, 3))], allowed=FLOAT)
    for name in ("SUM", "MAX", "MIN", "PROD"):
        tensors = [T((6, 3)), const([2, 0, 2, -1, 1, 0]), const(4)]
        batch.add(f"UNSORTED_SEGMENT_{name}", tensors, [T((4, 3))], allowed=FLOAT)
        tensors = [T((6, 3), "int32"), T((6,), "int32"), const(4)]
        outputs = [T((4, 3), "int32")]
        batch.add(f"UNSORTED_SEGMENT_{name}", tensors, outputs, low=0, high=3)


@together()
def test_buckets(batch: Batch) -> None:
    options = ("BucketizeOptions", {"boundaries": [-0.5, 0.0, 0.25]})
    batch.add("BUCKETIZE", [T((4, 5))], [T((4, 5), "int32")], options)


@together()
def test_broadcast_shapes(batch: Batch) -> None:
    batch.add("BROADCAST_ARGS", [const([2, 1, 3]), const([4, 1])], [T((3,), "int32")])


@pytest.mark.parametrize(("shape", "lengths"), [((2, 1, 50), (1, 64)), ((3, 8, 16), (8, 16))])
def test_spectra(tmp_path: Path, shape: tuple[int, ...], lengths: tuple[int, int]) -> None:
    result = (shape[0], lengths[0], lengths[1] // 2 + 1)
    flat = (shape[0], lengths[0] * (lengths[1] // 2 + 1))
    tensors = [
        T(shape),
        const(lengths),
        T(result, "complex64"),
        const(flat),
        T(flat, "complex64"),
        *(T(flat) for _ in range(3)),
    ]
    operators = [
        Op("RFFT2D", [0, 1], [2]),
        Op("RESHAPE", [2, 3], [4]),
        Op("COMPLEX_ABS", [4], [5]),
        Op("REAL", [4], [6]),
        Op("IMAG", [4], [7]),
    ]
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, operators, [0], [5, 6, 7]))
    x = [numbers(tensors[0], 3)]
    assert furthest(by_edgetvm(path, x), by_litert(path, x)) < 1e-5


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("least", [-1.0, 0.6])
def test_boxes_that_overlap_less(tmp_path: Path, version: int, least: float) -> None:
    count, most = 40, 12
    tensors = [
        T((count, 4)),
        T((count,)),
        const(most),
        const(0.3, "float32"),
        const(least, "float32"),
        *([const(0.0, "float32")] if version == 5 else []),
        T((most,), "int32"),
        *([T((most,))] if version == 5 else []),
        T((), "int32"),
    ]
    inputs = 4 + (version == 5) + 1
    outputs = list(range(inputs, len(tensors)))
    operator = Op(f"NON_MAX_SUPPRESSION_V{version}", list(range(inputs)), outputs)
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [operator], [0, 1], outputs))
    random = np.random.default_rng(6)
    corner, size = random.random((count, 2)), random.random((count, 2)) * 0.4
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    boxes[::3] = boxes[::3][:, [2, 3, 0, 1]]  # corners in either order
    arrays = [boxes, random.permutation(count).astype(np.float32) / count]
    assert furthest(by_edgetvm(path, arrays), by_litert(path, arrays)) == 0


def options_of_detections(**more: Any) -> bytes:
    from flatbuffers import flexbuffers

    return bytes(
        flexbuffers.Dumps(
            {
                "max_detections": 8,
                "max_classes_per_detection": 1,
                "num_classes": 4,
                "nms_score_threshold": 0.3,
                "nms_iou_threshold": 0.5,
                "y_scale": 10.0,
                "x_scale": 10.0,
                "h_scale": 5.0,
                "w_scale": 5.0,
                **more,
            }
        )
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_detector_s_last_operator(tmp_path: Path, dtype: str) -> None:
    random = np.random.default_rng(2)
    count = 30
    anchors = np.concatenate([random.random((count, 2)), random.random((count, 2)) * 0.3 + 0.1], 1)
    codes: dict[str, Any] = {"scale": 0.02, "zero": 128} if dtype == "uint8" else {}
    scores: dict[str, Any] = {"scale": 1 / 256, "zero": 0} if dtype == "uint8" else {}
    tensors = [
        T((1, count, 4), dtype, **codes),
        T((1, count, 5), dtype, **scores),
        const(anchors, "float32")
        if dtype == "float32"
        else const(anchors * 200, "uint8", scale=1 / 200),
        T((1, 8, 4)),
        T((1, 8)),
        T((1, 8)),
        T((1,)),
    ]
    operator = Op(
        "CUSTOM",
        [0, 1, 2],
        [3, 4, 5, 6],
        custom=("TFLite_Detection_PostProcess", options_of_detections()),
    )
    path = write_graphs(tmp_path / "m.tflite", Sub(tensors, [operator], [0, 1], [3, 4, 5, 6]))
    arrays = [numbers(one, at, 0 if at else -1) for at, one in enumerate(tensors[:2])]
    expected = by_litert(path, arrays)
    assert 0 < expected[3][0] <= 8
    assert furthest(by_edgetvm(path, arrays), expected) < 1e-5
