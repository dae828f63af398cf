"""TfIdfVectorizer over numbers: how often each n-gram of a pool occurs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node


def tf_idf_vectorizer(node: Node) -> Any:
    """Counts by the places that the attributes give, weighted."""
    emit, data = node.emit, node.inputs[0]
    pool = node.attributes.get("pool_int64s")
    if not pool:
        raise node.refusal("its n-grams are strings, which boards do not have")
    flat = rank_of(data) == 1
    data = emit.cast(emit.unsqueeze(data, 0) if flat else data, "int64")
    rows = shape_of(data)[0]
    starts = [int(begin) for begin in node.attributes["ngram_counts"]]
    least, most = (int(node.attributes[f"{end}_gram_length"]) for end in ("min", "max"))
    counted = []
    for length, begin in enumerate(starts, 1):
        end = starts[length] if length < len(starts) else len(pool)
        grams = np.asarray(pool[begin:end], np.int64).reshape(-1, length)
        if not len(grams):
            continue
        if not least <= length <= most:
            counted.append(emit.const(np.zeros((rows, len(grams)), np.float32)))
        else:
            skips = 1 + int(node.attributes["max_skip_count"]) if length > 1 else 1
            counted.append(_counts(node, data, grams, skips))
    # A last column of zeros, for places that no n-gram has.
    counted.append(emit.const(np.zeros((rows, 1), np.float32)))
    every = emit.concat(counted, 1)
    places = np.asarray(node.attributes["ngram_indexes"], np.int64)
    source = np.full(int(places.max(initial=-1)) + 1, shape_of(every)[1] - 1)
    source[places] = np.arange(len(places))
    result = _weighted(node, emit.take(every, source, 1), places, len(source))
    return emit.squeeze(result, 0) if flat else result


def _weighted(node: Node, counts: Any, places: NDArray[np.int64], width: int) -> Any:
    emit = node.emit
    mode = str(node.attributes.get("mode", "TF"))
    weights = np.ones(width, np.float32)
    if node.attributes.get("weights"):
        weights[places] = node.attributes["weights"]
    if mode == "TF":
        return counts
    if mode == "IDF":
        counts = emit.minimum(counts, emit.const(np.float32(1)))
    return emit.multiply(counts, emit.const(weights))


def _counts(node: Node, data: Any, grams: NDArray[np.int64], skips: int) -> Any:
    """`[rows, n-grams]`: occurrences, with up to `skips - 1` elements left out between two."""
    from tvm import te, tirx

    size, (count, length) = shape_of(data)[1], grams.shape

    def compute(values: Any, table: Any) -> Any:
        skip = te.reduce_axis((0, skips), name="skip")
        start = te.reduce_axis((0, size), name="start")

        def element(row: Any, gram: Any) -> Any:
            last = start + (length - 1) * (skip + 1)
            hit = last < size
            for k in range(length):
                place = tirx.min(start + k * (skip + 1), size - 1)
                hit = tirx.And(hit, values[row, place].equal(table[gram, k]))
            return te.sum(hit.astype("float32"), axis=[skip, start])

        return te.compute((values.shape[0], count), element, name="counts")

    return node.emit.te(compute, data, node.emit.const(grams))


NGRAMS: dict[str, Converter] = {"TfIdfVectorizer": tf_idf_vectorizer}
