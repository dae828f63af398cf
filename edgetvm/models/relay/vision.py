"""Operators of detectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgetvm.models.relay.ast import malformed
from edgetvm.models.relay.builder import Attributes, Builder, Value


def _scalar(builder: Builder, arguments: tuple[Value, ...], position: int, default: float) -> Any:
    """A number that Relay gives as a tensor."""
    if position >= len(arguments):
        return default
    return builder.known(arguments[position], "a threshold").reshape(-1)[0].item()


def roi_align(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Regions resampled to one size."""
    return builder.emit(
        builder.op.vision.roi_align(
            *arguments[:2],
            tuple(attributes.window("pooled_size", 2, None)),
            attributes.number("spatial_scale"),
            sample_ratio=attributes.integer("sample_ratio", -1),
            layout=attributes.text("layout", "NCHW"),
            mode=attributes.text("mode", "avg"),
        )
    )


def roi_pool(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """The largest elements of regions."""
    size = tuple(attributes.window("pooled_size", 2, None))
    scale, layout = attributes.number("spatial_scale"), attributes.text("layout", "NCHW")
    return builder.emit(builder.op.vision.roi_pool(*arguments[:2], size, scale, layout))


def get_valid_counts(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """How many boxes score enough, the boxes with these first, and their indices: a tuple."""
    threshold = _scalar(builder, arguments, 1, attributes.number("score_threshold", 0.0))
    places = [attributes.integer("id_index", 0), attributes.integer("score_index", 1)]
    three = builder.emit(
        builder.op.vision.get_valid_counts(arguments[0], float(threshold), *places)
    )
    return builder.fields(three, 3)


def non_max_suppression(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """Boxes without those that overlap better ones; or their indices and count: a tuple."""
    most = _scalar(builder, arguments, 3, attributes.integer("max_output_size", -1))
    overlap = _scalar(builder, arguments, 4, attributes.number("iou_threshold", 0.5))
    indices_wanted = attributes.flag("return_indices", True)
    result = builder.emit(
        builder.op.vision.non_max_suppression(
            *arguments[:3],
            max_output_size=int(most),
            iou_threshold=float(overlap),
            force_suppress=attributes.flag("force_suppress"),
            top_k=attributes.integer("top_k", -1),
            coord_start=attributes.integer("coord_start", 2),
            score_index=attributes.integer("score_index", 1),
            id_index=attributes.integer("id_index", 0),
            return_indices=indices_wanted,
            invalid_to_bottom=attributes.flag("invalid_to_bottom"),
        )
    )
    return builder.fields(result, 2) if indices_wanted else result


def multibox_prior(builder: Builder, arguments: tuple[Value, ...], attributes: Attributes) -> Value:
    """Anchors of all places of a picture: its shape alone counts."""
    height, width = builder.shape(arguments[0])[2:4]
    sizes, ratios = (_numbers(attributes, name, [1.0]) for name in ("sizes", "ratios"))
    steps, offsets = _numbers(attributes, "steps", [-1, -1]), _numbers(attributes, "offsets", [0.5])
    offsets = offsets * 2 if len(offsets) == 1 else offsets
    if len(steps) != 2 or len(offsets) != 2 or min(ratios) <= 0:
        raise malformed("anchors need two steps, two offsets, and positive ratios")
    step_y, step_x = (
        step if step > 0 else 1 / size for step, size in zip(steps, (height, width), strict=True)
    )
    shapes = [(size * height / width / 2, size / 2) for size in sizes]
    for ratio in ratios[1:]:
        root = math.sqrt(ratio)
        shapes.append((sizes[0] * height / width * root / 2, sizes[0] / root / 2))
    builder.check_elements([height, width, len(shapes), 4])
    y, x = np.meshgrid(
        (np.arange(height) + offsets[0]) * step_y,
        (np.arange(width) + offsets[1]) * step_x,
        indexing="ij",
    )
    boxes = [np.stack([x - w, y - h, x + w, y + h], -1) for w, h in shapes]
    anchors = np.stack(boxes, 2).reshape(1, -1, 4)
    return builder.const(anchors.clip(0, 1) if attributes.flag("clip") else anchors, "float32")


def _numbers(attributes: Attributes, name: str, default: list[float]) -> list[float]:
    values = attributes.get(name, default)
    values = values if isinstance(values, list) else [values]
    if not values or not all(isinstance(value, (int, float)) for value in values):
        raise malformed(f"its attribute {name} is {values!s:.60}")
    return [float(value) for value in values]


def crop_and_resize(
    builder: Builder, arguments: tuple[Value, ...], attributes: Attributes
) -> Value:
    """Regions resampled to one size, each of a picture of the batch."""
    method = attributes.text("method", "bilinear")
    return builder.te(
        builder.topi.image.crop_and_resize,
        *arguments[:3],
        attributes.window("crop_size", 2, None),
        attributes.text("layout", "NCHW"),
        "linear" if method == "bilinear" else method,
        attributes.number("extrapolation_value", 0.0),
    )
