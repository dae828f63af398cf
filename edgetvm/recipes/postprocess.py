"""How the outputs of a model become a prediction that people and metrics understand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.agreement import (
    best_agrees,
    boxes_agree,
    chunks_agree,
    letters_agree,
    values_agree,
)
from edgetvm.recipes.data import Array, Sample
from edgetvm.recipes.fetch import model_file
from edgetvm.recipes.preprocess import fitted
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import POSTPROCESS

Prediction: TypeAlias = dict[str, Any]
"""What a model says of a sample, as JSON knows it. Each postprocess names its own keys."""

Share = Annotated[float, Field(ge=0, le=1)]
Output = Annotated[str | None, Field(description="Name of the output; may lack if it is the one.")]


def interpret(recipe: Recipe, outputs: Mapping[str, Array], sample: Sample) -> Prediction:
    """What a model's outputs say of a sample. Of a stream, those of all its calls, stacked.

    Raises:
        ConfigurationError: the recipe has no postprocess, or it does not fit the outputs.
    """
    if recipe.postprocess is None:
        raise ConfigurationError(
            "nothing says what the outputs mean",
            where=f"recipe {recipe.name}: postprocess",
            mend=f"add one: {', '.join(POSTPROCESS.names())}",
        )
    return POSTPROCESS.run(recipe.postprocess, recipe, outputs, sample)


def chosen_output(recipe: Recipe, outputs: Mapping[str, Array], name: str | None) -> Array:
    """The output that is meant: by name, or the only one that is no state of a stream."""
    states = recipe.stream.states.values() if recipe.stream else ()
    open_names = [known for known in outputs if known not in states]
    if name is None and len(open_names) == 1:
        return outputs[open_names[0]]
    if name is None or name not in outputs:
        raise ConfigurationError(
            f"the model has no output {name!r}" if name else "the model has several outputs",
            where=f"recipe {recipe.name}: postprocess.output",
            mend=f"name one of: {', '.join(outputs)}",
        )
    return outputs[name]


def unfit(recipe: Recipe, found: Array, wanted: str) -> ConfigurationError:
    """What to raise where a postprocess cannot read an output."""
    return ConfigurationError(
        f"postprocess takes {wanted}, and the output has shape {list(found.shape)}",
        where=f"recipe {recipe.name}: postprocess.name",
        mend="choose another postprocess or output",
    )


@POSTPROCESS.register("text-boxes", agreement=boxes_agree)
def text_boxes(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    threshold: Annotated[Share, Field(description="Text is where the map exceeds it.")] = 0.3,
    box_threshold: Annotated[Share, Field(description="Least mean of the map in a box.")] = 0.6,
    unclip_ratio: Annotated[float, Field(ge=0, description="How far boxes grow.")] = 1.5,
    min_side: Annotated[int, Field(ge=1, description="Least side of a box, in the map.")] = 3,
    output: Output = None,
) -> Prediction:
    """Upright boxes of text lines from a map of probabilities (differentiable binarisation).

    `boxes` are [x0, y0, x1, y1] in pixels of the picture, `scores` the mean of the map in each.
    A box grows by area * unclip_ratio / perimeter, since the map shows shrunken lines.

    Source: Liao et al., Real-time Scene Text Detection with Differentiable Binarization,
    https://arxiv.org/abs/1911.08947
    """
    from scipy import ndimage

    found = chosen_output(recipe, outputs, output)
    picture = sample.value
    if isinstance(picture, dict) or found.ndim != 4 or found.shape[:2] != (1, 1):
        raise unfit(recipe, found, "one map [1, 1, height, width] of a picture")
    heat = found[0, 0]
    height, width = heat.shape
    parameters = recipe.preprocess.parameters if recipe.preprocess else {}
    inner = fitted(picture, height, width, bool(parameters.get("keep_aspect", False)))
    scales = picture.shape[1] / inner[1], picture.shape[0] / inner[0]
    regions, _ = ndimage.label(heat > threshold, structure=np.ones((3, 3)))
    boxes: list[tuple[list[int], float]] = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(regions), start=1):
        sides = columns.stop - columns.start, rows.stop - rows.start
        score = float(heat[rows, columns][regions[rows, columns] == index].mean())
        if min(sides) < min_side or score < box_threshold:
            continue
        grown = sides[0] * sides[1] * unclip_ratio / (2 * sum(sides))
        corners = (
            (columns.start - grown, rows.start - grown),
            (columns.stop + grown, rows.stop + grown),
        )
        box = [
            round(min(max(corner[axis] * scales[axis], 0), picture.shape[1 - axis]))
            for corner in corners
            for axis in (0, 1)
        ]
        boxes.append((box, score))
    boxes.sort(key=lambda found: (found[0][1], found[0][0]))
    return {"boxes": [box for box, _ in boxes], "scores": [score for _, score in boxes]}


@POSTPROCESS.register("speech-probability", needs_stream=True, agreement=chunks_agree)
def speech_probability(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    threshold: Annotated[Share, Field(description="Speech is where it is reached.")] = 0.5,
    scale: Annotated[float, Field(gt=0, description="Makes probabilities of whole numbers.")] = 1.0,
    mean_of: Annotated[int, Field(ge=1, description="So many chunks, the last ones.")] = 1,
    output: Output = None,
) -> Prediction:
    """Whether each chunk of a stream holds speech, from one probability a chunk.

    `probabilities` and `speech` have a value a chunk; `spans_s` are [start, end] in seconds.
    """
    found = chosen_output(recipe, outputs, output)
    if recipe.stream is None or found.ndim == 0 or found.size != len(found):
        raise unfit(recipe, found, "one number for each chunk of a stream")
    chunk_s = recipe.stream.chunk_ms / 1000
    # Chunks before the first count as silent.
    whole = np.pad(found.reshape(-1).astype(np.float64) * scale, (mean_of - 1, 0))
    probabilities = np.convolve(whole, np.full(mean_of, 1 / mean_of), "valid").tolist()
    speech = [value >= threshold for value in probabilities]
    edges = np.flatnonzero(np.diff([False, *speech, False]))
    spans = [[round(int(edge) * chunk_s, 6) for edge in pair] for pair in edges.reshape(-1, 2)]
    return {
        "probabilities": probabilities,
        "speech": speech,
        "spans_s": spans,
        "chunk_s": chunk_s,
    }


@POSTPROCESS.register("top-k", agreement=best_agrees)
def top_k(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    k: Annotated[int, Field(ge=1, description="How many classes.")] = 5,
    labels: Annotated[tuple[str, ...] | None, Field(description="Names of the classes.")] = None,
    background: Annotated[
        int, Field(ge=0, description="So many scores before class 0 stand for no class.")
    ] = 0,
    output: Output = None,
) -> Prediction:
    """The classes of highest score: `classes`, each with `index`, `label` and `score`."""
    # In floats: the least number of an integer type has no opposite.
    scores = chosen_output(recipe, outputs, output).reshape(-1)[background:].astype(np.float64)
    if labels is not None and len(labels) != len(scores):
        raise ConfigurationError(
            f"{len(labels)} labels for {len(scores)} classes",
            where=f"recipe {recipe.name}: postprocess.labels",
            mend="give one for each class",
        )
    best = np.argsort(-scores, kind="stable")[:k]
    return {
        "classes": [
            {
                "index": int(index),
                "label": labels[index] if labels else str(index),
                "score": float(scores[index]),
            }
            for index in best
        ]
    }


@POSTPROCESS.register("values", agreement=values_agree)
def plain_values(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    output: Output = None,
) -> Prediction:
    """The numbers of an output as they are, row by row: `values`."""
    found = chosen_output(recipe, outputs, output)
    return {"values": [float(value) for value in found.reshape(-1)]}


@POSTPROCESS.register("ctc-text", agreement=letters_agree)
def ctc_text(
    recipe: Recipe,
    outputs: Mapping[str, Array],
    sample: Sample,
    *,
    metadata_key: Annotated[
        str, Field(description="Key of the ONNX file's metadata that lists the characters.")
    ] = "character",
    output: Output = None,
) -> Prediction:
    """Text from one distribution over characters a step; class 0 is the blank, the last a space.

    `text`, and `score`: the mean probability of its characters.

    Source: Graves et al., Connectionist Temporal Classification, ICML 2006.
    """
    found = chosen_output(recipe, outputs, output)
    if found.ndim != 3 or found.shape[0] != 1:
        raise unfit(recipe, found, "distributions [1, steps, characters]")
    characters = ["", *_characters(model_file(recipe), metadata_key), " "]
    if found.shape[2] != len(characters):
        raise ConfigurationError(
            f"{len(characters)} characters for {found.shape[2]} classes",
            where=f"recipe {recipe.name}: postprocess.metadata_key",
            mend="name the key that lists one character a line, without blank and space",
        )
    best = found[0].argmax(axis=1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    steps = np.flatnonzero(changed & (best != 0))
    score = float(found[0][steps, best[steps]].mean()) if len(steps) else 0.0
    return {"text": "".join(characters[best[at]] for at in steps), "score": score}


@lru_cache(maxsize=8)
def _characters(path: Path, metadata_key: str) -> tuple[str, ...]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise ConfigurationError(
            "the characters of ctc-text stand in an ONNX file, and this is none",
            where=str(path),
            mend="choose another postprocess",
        ) from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata_key not in metadata:
        raise ConfigurationError(
            f"no key {metadata_key!r} in the model's metadata",
            where=str(path),
            mend=f"it has: {', '.join(metadata) or 'none'}",
        )
    return tuple(metadata[metadata_key].splitlines())
