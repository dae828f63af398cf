"""Operators of the TFLite importer that move elements, against LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from made_operators import T, const
from tflite_batch import FLOAT, Batch, Options, together

# Name, shape of the input, constants, options, shapes of the outputs.
MOVES: list[tuple[str, Sequence[int], list[T], Options, list[Sequence[int]]]] = [
    ("RESHAPE", (2, 3, 4), [const([4, -1])], ("ReshapeOptions", {}), [(4, 6)]),
    ("RESHAPE", (2, 3, 4), [], ("ReshapeOptions", {"newShape": [6, 4]}), [(6, 4)]),
    ("SQUEEZE", (1, 3, 1, 4), [], ("SqueezeOptions", {"squeezeDims": [-2]}), [(1, 3, 4)]),
    ("SQUEEZE", (1, 3, 1, 4), [], ("SqueezeOptions", {"squeezeDims": []}), [(3, 4)]),
    ("EXPAND_DIMS", (2, 3), [const([-1])], None, [(2, 3, 1)]),
    ("EXPAND_DIMS", (2, 3), [const([0])], None, [(1, 2, 3)]),
    ("TRANSPOSE", (2, 3, 4), [const([2, 0, 1])], None, [(4, 2, 3)]),
    ("UNPACK", (2, 3, 4), [], ("UnpackOptions", {"num": 3, "axis": 1}), [(2, 4)] * 3),
    (
        "SPLIT_V",
        (2, 7),
        [const([3, -1]), const(1)],
        ("SplitVOptions", {"numSplits": 2}),
        [(2, 3), (2, 4)],
    ),
    ("SLICE", (4, 5, 6), [const([1, 0, 2]), const([2, -1, 3])], None, [(2, 5, 3)]),
    ("PAD", (1, 3, 4, 2), [const([[0, 0], [1, 2], [0, 1], [0, 0]])], None, [(1, 6, 5, 2)]),
    ("MIRROR_PAD", (3, 4), [const([[1, 2], [2, 1]])], ("MirrorPadOptions", {"mode": 0}), [(6, 7)]),
    ("MIRROR_PAD", (3, 4), [const([[1, 2], [2, 1]])], ("MirrorPadOptions", {"mode": 1}), [(6, 7)]),
    ("TILE", (2, 3), [const([2, 3])], None, [(4, 9)]),
    ("BROADCAST_TO", (1, 3), [const([2, 4, 3])], None, [(2, 4, 3)]),
    ("REVERSE_V2", (2, 3, 4), [const([1])], None, [(2, 3, 4)]),
    (
        "GATHER",
        (5, 4, 3),
        [const([[0, 3], [4, 4]])],
        ("GatherOptions", {"axis": 0}),
        [(2, 2, 4, 3)],
    ),
    ("GATHER", (5, 4, 3), [const([3, 1])], ("GatherOptions", {"axis": 1}), [(5, 2, 3)]),
    (
        "GATHER",
        (2, 4, 3),
        [const([[3, 1], [0, 2]])],
        ("GatherOptions", {"axis": 1, "batchDims": 1}),
        [(2, 2, 3)],
    ),
    ("GATHER_ND", (5, 4, 3), [const([[0, 3], [4, 1]])], None, [(2, 3)]),
    (
        "SPACE_TO_DEPTH",
        (1, 4, 6, 3),
        [],
        ("SpaceToDepthOptions", {"blockSize": 2}),
        [(1, 2, 3, 12)],
    ),
    (
        "DEPTH_TO_SPACE",
        (1, 2, 3, 12),
        [],
        ("DepthToSpaceOptions", {"blockSize": 2}),
        [(1, 4, 6, 3)],
    ),
    (
        "SPACE_TO_BATCH_ND",
        (1, 4, 5, 2),
        [const([2, 3]), const([[0, 0], [0, 1]])],
        None,
        [(6, 2, 2, 2)],
    ),
    (
        "BATCH_TO_SPACE_ND",
        (6, 2, 2, 2),
        [const([2, 3]), const([[0, 0], [0, 1]])],
        None,
        [(1, 4, 5, 2)],
    ),
    (
        "RESIZE_NEAREST_NEIGHBOR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeNearestNeighborOptions", {}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_NEAREST_NEIGHBOR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeNearestNeighborOptions", {"alignCorners": True}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_NEAREST_NEIGHBOR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeNearestNeighborOptions", {"halfPixelCenters": True}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_BILINEAR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeBilinearOptions", {}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_BILINEAR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeBilinearOptions", {"alignCorners": True}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_BILINEAR",
        (1, 3, 4, 2),
        [const([7, 6])],
        ("ResizeBilinearOptions", {"halfPixelCenters": True}),
        [(1, 7, 6, 2)],
    ),
    (
        "RESIZE_BILINEAR",
        (1, 6, 8, 2),
        [const([3, 5])],
        ("ResizeBilinearOptions", {"halfPixelCenters": True}),
        [(1, 3, 5, 2)],
    ),
]
# Where LiteRT takes 8 bits from a later version on.
_VERSIONS = dict.fromkeys(
    ("TRANSPOSE", "SPLIT_V", "SLICE", "PAD", "MIRROR_PAD", "TILE", "BROADCAST_TO", "STRIDED_SLICE"),
    2,
) | dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_BATCH_ND"), 3)
SLICES = [
    ([1, 0, 2], [3, 5, 6], [1, 2, 2], {}, (2, 3, 2)),
    ([0, 4, 1], [0, 0, 4], [1, -1, 1], {"beginMask": 1, "endMask": 3}, (4, 5, 3)),
    ([0, -2, 1], [0, 0, 4], [1, 1, 1], {"beginMask": 1, "endMask": 1, "shrinkAxisMask": 2}, (4, 3)),
    ([0, 0, 2], [0, 0, 3], [1, 1, 1], {"ellipsisMask": 1, "newAxisMask": 2}, (4, 5, 1, 1)),
]
for _begin, _end, _stride, _masks, _shape in SLICES:
    MOVES.append(
        (
            "STRIDED_SLICE",
            (4, 5, 6),
            [const(_begin), const(_end), const(_stride)],
            ("StridedSliceOptions", _masks),
            [_shape],
        )
    )


@together(dtype=["float32", "int8"], case=MOVES)
def test_moves(batch: Batch, case: Any, dtype: str) -> None:
    name, shape, constants, options, results = case
    scale, zero = (None, 0) if dtype == "float32" else (0.05, -5)
    batch.add(
        name,
        [T(shape, dtype, scale=scale, zero=zero), *constants],
        [T(result, dtype, scale=scale, zero=zero) for result in results],
        options,
        allowed=FLOAT if dtype == "float32" else 0,
        version=_VERSIONS.get(name, 1),
    )


@together(dtype=["float32", "int8"])
def test_joining(batch: Batch, dtype: str) -> None:
    more: dict[str, Any] = {} if dtype == "float32" else {"scale": 0.05, "zero": -5}
    parts = [T((2, 3), dtype, **more), T((2, 3), dtype, **more)]
    options = ("ConcatenationOptions", {"axis": -1, "fusedActivationFunction": 1})
    batch.add("CONCATENATION", parts, [T((2, 6), dtype, **more)], options, version=2)
    options = ("PackOptions", {"valuesCount": 2, "axis": 1})
    batch.add("PACK", parts, [T((2, 2, 3), dtype, **more)], options, version=2)
    axis, halves = const(1), [T((2, 3), dtype, **more), T((2, 3), dtype, **more)]
    whole = T((2, 6), dtype, **more)
    batch.add("SPLIT", [axis, whole], halves, ("SplitOptions", {"numSplits": 2}), version=2)


@together()
def test_joining_of_different_scales(batch: Batch) -> None:
    parts = [T((2, 30), "uint8", scale=0.05, zero=120), T((2, 30), "uint8", scale=0.02, zero=10)]
    out = T((2, 60), "uint8", scale=0.04, zero=100)
    options = ("ConcatenationOptions", {"axis": 1})
    batch.add("CONCATENATION", parts, [out], options, allowed=1)


@together()
def test_padding_by_a_value(batch: Batch) -> None:
    widths = const([[1, 0], [0, 2]])
    batch.add("PADV2", [T((2, 3)), widths, const(2.5, "float32")], [T((3, 5))])


@together()
def test_one_index_of_an_axis_that_is_masked(batch: Batch) -> None:
    options = ("StridedSliceOptions", {"shrinkAxisMask": 1, "beginMask": 1})
    bounds = [const([2, 1]), const([3, 4]), const([1, 1])]
    batch.add("STRIDED_SLICE", [T((4, 5)), *bounds], [T((3,))], options)
