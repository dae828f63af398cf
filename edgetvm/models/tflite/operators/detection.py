"""Detectors' last operators: boxes are decoded, and of those that overlap the best is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgetvm.models.tflite.emitter import Emitter, Value, shape_of
from edgetvm.models.tflite.rules import Node, Refusal, itself, rule

_MOST_DETECTIONS = 256
_GONE = np.asarray(-np.inf, np.float32)


@dataclass(frozen=True)
class _Chosen:
    """Of each choice in turn: which box, its score, and whether there was one left."""

    indices: Value
    scores: Value
    valid: Value


def _overlap(emit: Emitter, boxes: Value, one: Value) -> Value:
    """The intersection over the union of each `[y, x, y, x]` with one of them, `[1, 4]`."""

    def corners(value: Value) -> tuple[list[Value], Value]:
        a, b = emit.slice(value, 1, 0, 2), emit.slice(value, 1, 2, 4)
        low, high = emit("minimum", a, b), emit("maximum", a, b)
        return [low, high], emit.reduce("prod", emit("subtract", high, low), (1,), keep=False)

    (low, high), areas = corners(boxes)
    (begin, end), area = corners(one)
    sides = emit("subtract", emit("minimum", high, end), emit("maximum", low, begin))
    shared = emit.reduce("prod", emit.clip(sides, 0, np.inf), (1,), keep=False)
    union = emit("subtract", emit("add", areas, area), shared)
    sound = emit("logical_and", emit("greater", areas, 0), emit("greater", area, 0))
    return emit.where(sound, emit("divide", shared, union), np.zeros((), np.float32))


def _suppressed(
    emit: Emitter, boxes: Value, scores: Value, count: int, threshold: float, inclusive: bool
) -> _Chosen:
    """The best box, `count` times; each takes those out that overlap it more than `threshold`.

    Args:
        scores: minus infinity for boxes that are out from the beginning.
        inclusive: whether exactly `threshold` is too much.
    """
    if not 0 < count <= _MOST_DETECTIONS:
        raise Refusal(f"of {count} detections")
    from tvm import relax

    places = emit.indices(shape_of(scores)[0])
    indices, best = [], []
    for _ in range(count):
        index = emit.relax(lambda value: relax.op.argmax(value, 0, True), scores)
        index = emit.cast(index, "int32")
        indices.append(index)
        best.append(emit.take(scores, index, 0, within=False))
        overlap = _overlap(emit, boxes, emit.take(boxes, index, 0, within=False))
        too_much = emit("greater_equal" if inclusive else "greater", overlap, threshold)
        out = emit("logical_or", too_much, emit("equal", places, index))
        scores = emit.where(out, _GONE, scores)
    found = emit.concat(best, 0)
    return _Chosen(emit.concat(indices, 0), found, emit("greater", found, _GONE))


@rule("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", quantised=itself)
def non_max_suppression(node: Node) -> list[Value]:
    """Padded with zeros to the largest number of boxes."""
    emit, scores = node.emit, node.value(1)
    count = node.integer(2, "a number of boxes")
    overlap = float(node.constant(3, "a threshold").ravel()[0])
    least = emit.reshape(node.value(4), ())
    soft = node.operator.name.endswith("5")
    if soft and float(node.constant(5, "a sigma").ravel()[0]):
        raise Refusal("with a sigma")
    scores = emit.where(emit("greater", scores, least), scores, _GONE)
    chosen = _suppressed(emit, node.value(0), scores, count, overlap, inclusive=True)
    valid = emit.cast(chosen.valid, "int32")
    indices = emit("multiply", chosen.indices, valid)
    number = emit.reduce("sum", valid, (0,), keep=False)
    if not soft:
        return [indices, number]
    shown = emit.where(chosen.valid, chosen.scores, np.zeros((), np.float32))
    return [indices, shown, number]


@rule("CUSTOM TFLite_Detection_PostProcess")
def detection_postprocess(node: Node) -> list[Value]:
    """Boxes, classes, scores and their number, of one picture."""
    emit, option = node.emit, node.operator.custom_option
    if option("use_regular_nms", 0):
        raise Refusal("that treats each class by itself")
    if option("max_classes_per_detection", 1) != 1:
        raise Refusal("with several classes for a box")
    batch, anchors, width = node.axes(1, 3)
    if batch != 1 or node.shape(0) != (1, anchors, 4):
        raise Refusal("of several pictures")
    boxes = _decoded(node)
    first = width - int(option("num_classes", 0))
    if not 0 <= first < width:
        raise ValueError(f"{width - first} classes among {width} scores")
    every = emit.reshape(emit.slice(node.value(1), 2, first, width), (anchors, -1))
    scores = emit.reduce("max", every, (1,), keep=False)
    least = option("nms_score_threshold", 0)
    scores = emit.where(emit("less", scores, least), _GONE, scores)
    count = int(option("max_detections", 0))
    chosen = _suppressed(emit, boxes, scores, count, option("nms_iou_threshold", 0), False)
    valid = emit.cast(chosen.valid, "float32")
    found = emit.take(boxes, chosen.indices, 0, within=False)
    rows = emit.take(every, chosen.indices, 0, within=False)
    zero = np.zeros((), np.float32)
    shown = emit.where(chosen.valid, chosen.scores, zero)
    return [
        emit.reshape(emit("multiply", found, emit.reshape(valid, (-1, 1))), (1, count, 4)),
        emit.reshape(emit("multiply", _classes(emit, rows), valid), (1, count)),
        emit.reshape(shown, (1, count)),
        emit.reduce("sum", valid, (0,), keep=True),
    ]


def _classes(emit: Emitter, rows: Value) -> Value:
    from tvm import relax

    return emit.cast(emit.relax(lambda value: relax.op.argmax(value, 1), rows), "float32")


def _decoded(node: Node) -> Value:
    """`[y, x, y, x]` of each anchor's box."""
    emit, option = node.emit, node.operator.custom_option
    scales = [option(f"{name}_scale", 1) for name in ("y", "x", "h", "w")]
    if not all(scales):
        raise ValueError("a scale of zero")
    code = emit("divide", emit.reshape(node.value(0), (-1, 4)), np.array(scales, np.float32))
    centre, size = emit.slice(node.value(2), 1, 0, 2), emit.slice(node.value(2), 1, 2, 4)
    middle = emit("add", emit("multiply", emit.slice(code, 1, 0, 2), size), centre)
    half = emit("multiply", emit("multiply", emit("exp", emit.slice(code, 1, 2, 4)), size), 0.5)
    return emit.concat([emit("subtract", middle, half), emit("add", middle, half)], 1)
