"""Resize in all of ONNX's modes: what TVM's kernels lack becomes a product with a constant matrix.

Every mode resamples one axis after the other, and along one axis it is linear: its matrix is what
ONNX's own evaluator makes of the identity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node

_MOST_SIZE = 8192
_POLICY = "keep_aspect_ratio_policy"
# Modes of coordinates that TVM computes from sizes as ONNX does.
_BY_SIZES = ("half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners")


def resize(node: Node) -> Any:
    """Static sizes; see the module."""
    value = node.inputs[0]
    if _plain(node):
        return None
    shape = shape_of(value)
    axes = [axis % len(shape) for axis in node.attributes.get("axes") or range(len(shape))]
    scales, sizes = _target(node, shape, axes)
    if _linear_by_sizes(node, shape, sizes):
        return _picture(node, sizes)
    roi = node.constant(1) if node.opset > 10 else None
    crop = node.attributes.get("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    outside = float(node.attributes.get("extrapolation_value", 0.0))
    inside: Any = None
    dtype = dtype_of(value)
    emit = node.emit
    result = emit.cast(value, "float32")
    for index, axis in enumerate(axes):
        if not crop and shape[axis] == sizes[index] and scales[index] == 1:
            continue
        region = None
        if crop and roi is not None:
            region = [float(roi[index]), float(roi[index + len(axes)])]
        if max(shape[axis], sizes[index]) > _MOST_SIZE:
            raise node.refusal(f"an axis of {max(shape[axis], sizes[index])}")
        matrix, hit = _matrix(node, shape[axis], sizes[index], scales[index], region)
        result = _along(node, result, axis, matrix)
        if crop and outside and not hit.all():
            mask = hit.reshape([-1 if i == axis else 1 for i in range(len(shape))])
            inside = mask if inside is None else inside & mask
    if inside is not None:
        condition = emit.const(np.broadcast_to(inside, shape_of(result)))
        result = emit.where(condition, result, emit.const(np.float32(outside)))
    if not dtype.startswith("float"):
        result = emit.unary("round", result)
    return emit.cast(result, dtype)


def _plain(node: Node) -> bool:
    """Whether TVM's own kernels do it: images, scales or sizes for all axes, common modes."""
    rank = rank_of(node.inputs[0])
    mode = node.attributes.get("mode", "nearest")
    if rank != 4 or node.opset < 11 or mode == "cubic" or "axes" in node.attributes:
        return False
    if node.has(3) and not node.has(2):
        return False
    if any(name in node.attributes for name in ("antialias", _POLICY)):
        return False
    scales = node.constant(2)
    if scales is None or scales.size != 4 or scales[0] != 1 or scales[1] != 1:
        return False
    common = ("half_pixel", "asymmetric", "pytorch_half_pixel")
    transform = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    # An exact number of pixels: TVM takes sizes, and derives the scale from them.
    exact = all(
        float(scale * size).is_integer()
        for scale, size in zip(scales.tolist(), shape_of(node.inputs[0]), strict=True)
    )
    return transform in common and exact


def _linear_by_sizes(node: Node, shape: tuple[int, ...], sizes: list[int]) -> bool:
    """Whether it is a picture's linear interpolation to sizes, which alone say where places lie."""
    given = node.has(3) and (not node.has(2) or not node.require(2, "scales").size)
    mode = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    return (
        given
        and node.attributes.get("mode", "nearest") == "linear"
        and mode in _BY_SIZES
        # TVM divides by the size less one.
        and not (mode == "align_corners" and 1 in sizes[2:])
        and len(shape) == len(sizes) == 4
        and shape[:2] == tuple(sizes[:2])
        and dtype_of(node.inputs[0]) == "float32"
        and not any(node.attributes.get(name) for name in ("antialias", "axes", _POLICY))
    )


def _picture(node: Node, sizes: list[int]) -> Any:
    from tvm import relax

    return node.emit.emit(
        relax.op.image.resize2d(
            node.inputs[0],
            size=relax.ShapeExpr(sizes[2:]),
            layout="NCHW",
            method="linear",
            coordinate_transformation_mode=node.attributes.get(
                "coordinate_transformation_mode", "half_pixel"
            ),
        )
    )


def _target(node: Node, shape: tuple[int, ...], axes: list[int]) -> tuple[list[float], list[int]]:
    """Scale and size of each axis."""
    position = 1 if node.opset < 11 else 2
    if "scales" in node.attributes:
        scales = [float(scale) for scale in node.attributes["scales"]]
    elif node.has(position) and node.require(position, "scales").size:
        scales = [float(scale) for scale in node.require(position, "scales")]
    else:
        wanted = [int(size) for size in node.require(3, "sizes")]
        scales = [size / shape[axis] for size, axis in zip(wanted, axes, strict=True)]
        policy = node.attributes.get(_POLICY, "stretch")
        if policy == "stretch":
            return scales, wanted
        one = min(scales) if policy == "not_larger" else max(scales)
        sizes = [math.floor(one * shape[axis] + 0.5) for axis in axes]
        return [one] * len(axes), sizes
    return scales, [
        math.floor(scale * shape[axis]) for scale, axis in zip(scales, axes, strict=True)
    ]


def _matrix(
    node: Node, size: int, new: int, scale: float, region: list[float] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """`[new, size]` weights of one axis, and which rows lie inside the region."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    dropped = ("axes", "extrapolation_value", _POLICY, "scales")
    attributes: dict[str, Any] = {k: v for k, v in node.attributes.items() if k not in dropped}
    opset = max(18, node.opset)
    if node.operator == "Upsample" or node.opset < 11:
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    # Coordinates depend on the scale's exact value: told as it is given. A scale that is made of
    # sizes is rounded to float32, and takes places that are whole for those before them.
    by_size = node.has(3) and node.attributes.get(_POLICY, "stretch") == "stretch"
    exact = math.floor(float(np.float32(scale)) * size) == new
    told = "scales" if exact and not by_size else "sizes"
    names = ["x", "roi" if region else "", *(["scales"] if told == "scales" else ["", "sizes"])]

    def run(rows: NDArray[Any], extra: dict[str, Any]) -> NDArray[Any]:
        one = helper.make_node("Resize", names, ["y"], axes=[1], **(attributes | extra))
        feeds = {
            "x": rows.astype(np.float32),
            "roi": np.array(region or [], np.float32),
            "scales": np.array([scale], np.float32),
            "sizes": np.array([new], np.int64),
        }
        evaluator = ReferenceEvaluator(one, opsets={"": opset})
        (result,) = evaluator.run(None, {name: feeds[name] for name in names if name})
        return np.asarray(result)

    weights = run(np.eye(size), {}).T
    hit = np.ones(new, bool)
    if region:
        hit = run(np.ones((1, size)), {"extrapolation_value": -1e6})[0] > -1e5
    return weights, hit


def _along(node: Node, value: Any, axis: int, matrix: NDArray[Any]) -> Any:
    """Resampled along one axis: by indices where each row has a single 1, else by a product."""
    emit = node.emit
    if ((matrix != 0).sum(1) == 1).all() and (matrix.max(1) == 1).all():
        return emit.take(value, matrix.argmax(1), axis)
    rank = rank_of(value)
    order = [i for i in range(rank) if i != axis] + [axis]
    turned = emit.transpose(value, order)
    product = emit.matmul(turned, emit.const(np.ascontiguousarray(matrix.T), "float32"))
    return emit.transpose(product, [order.index(i) for i in range(rank)])


RESIZING: dict[str, Converter] = {"Resize": resize, "Upsample": resize}
