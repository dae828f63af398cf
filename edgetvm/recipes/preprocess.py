"""How a sample becomes the inputs of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.data import Array, Sample
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import PREPROCESS, Processing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def _one_or_three(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) not in (1, 3):
        raise ValueError("one number, or one for each of the three channels")
    return values


PerChannel = Annotated[tuple[float, ...], AfterValidator(_one_or_three)]
Divisors = Annotated[tuple[Annotated[float, Field(gt=0)], ...], AfterValidator(_one_or_three)]


def prepare(recipe: Recipe, sample: Sample) -> dict[str, Array]:
    """The model's inputs for a sample; of a stream, the windows of its input one after another.

    Constants (`value` of an input) and a stream's states are not among them.

    Raises:
        ConfigurationError: the recipe's preprocess does not fit its data.
    """
    return PREPROCESS.run(recipe.preprocess or Processing("none"), recipe, sample)


def input_size(recipe: Recipe, layout: str) -> tuple[str, int, int]:
    """Name, height and width of the model's picture input.

    Raises:
        ConfigurationError: the recipe does not say the shape of one picture.
    """
    shapes = {name: spec.shape for name, spec in recipe.inputs.items() if spec.value is None}
    if len(shapes) == 1:
        name, shape = next(iter(shapes.items()))
        if shape is not None and len(shape) == 4 and shape[0] == 1:
            height, width = shape[2:] if layout == "nchw" else shape[1:3]
            return name, height, width
        if shape is not None and len(shape) == 3 and shape[0] == 1:
            return name, shape[1], shape[2]
    raise ConfigurationError(
        "a picture needs the shape of the one input that takes it",
        where=f"recipe {recipe.name}: inputs",
        mend="add it: `inputs: {NAME: {shape: [1, 3, 224, 224]}}`",
    )


def fitted(picture: Array, height: int, width: int, keep_aspect: bool) -> tuple[int, int]:
    """Height and width that a picture is resized to for an input of that height and width."""
    if not keep_aspect:
        return height, width
    rows, columns = picture.shape[:2]
    scale = min(height / rows, width / columns)
    return (
        max(1, min(height, round(rows * scale))),
        max(1, min(width, round(columns * scale))),
    )


@PREPROCESS.register("image")
def image(
    recipe: Recipe,
    sample: Sample,
    *,
    mean: Annotated[PerChannel, Field(description="Taken off each channel, or off all.")] = (0.0,),
    std: Annotated[Divisors, Field(description="Then divided by.")] = (1.0,),
    scale: Annotated[float, Field(description="Of 0..255, before mean and std.")] = 1 / 255,
    layout: Annotated[Literal["nchw", "nhwc"], Field(description="Of the input.")] = "nchw",
    colour: Annotated[
        Literal["rgb", "bgr", "grey"], Field(description="Order of channels, or one of brightness.")
    ] = "rgb",
    keep_aspect: Annotated[
        bool, Field(description="Fit into the upper left corner instead of stretching.")
    ] = False,
    padding: Annotated[float, Field(description="What fills the rest; after mean and std.")] = 0.0,
    dtype: Annotated[
        Literal["float32", "uint8", "int8"], Field(description="Whole types are rounded.")
    ] = "float32",
) -> dict[str, Array]:
    """A picture resized to the input, then (pixel * scale - mean) / std."""
    from PIL import Image

    picture = _picture(recipe, sample)
    name, height, width = input_size(recipe, layout)
    inner_height, inner_width = fitted(picture, height, width, keep_aspect)
    resized = Image.fromarray(picture).resize(
        (inner_width, inner_height), Image.Resampling.BILINEAR
    )
    pixels = _coloured(resized, colour).astype(np.float64)
    normalised: Array = (pixels * scale - np.array(mean)) / np.array(std)
    whole = np.full((height, width, pixels.shape[2]), padding, np.float32)
    whole[:inner_height, :inner_width] = normalised
    if dtype != "float32":
        limits = np.iinfo(dtype)
        whole = np.clip(np.round(whole), limits.min, limits.max)
    ordered = whole.transpose(2, 0, 1) if layout == "nchw" else whole
    whole_shape = recipe.inputs[name].shape or ordered.shape
    return {name: np.ascontiguousarray(ordered.astype(dtype)).reshape(whole_shape)}


def _coloured(picture: Picture, colour: str) -> Array:
    if colour == "grey":
        return np.asarray(picture.convert("L"))[:, :, np.newaxis]
    return np.asarray(picture)[:, :, :: -1 if colour == "bgr" else 1]


def _picture(recipe: Recipe, sample: Sample) -> Array:
    value = sample.value
    if isinstance(value, dict) or value.dtype != np.uint8 or value.shape[2:] != (3,):
        raise _unfit(recipe, "a picture")
    return value


def _unfit(recipe: Recipe, wanted: str) -> ConfigurationError:
    given = recipe.data.name if recipe.data else "nothing"
    return ConfigurationError(
        f"preprocess takes {wanted}, and data is {given}",
        where=f"recipe {recipe.name}: preprocess.name",
        mend="choose another preprocess or other data",
    )


@PREPROCESS.register("audio-windows", needs_stream=True)
def audio_windows(recipe: Recipe, sample: Sample) -> dict[str, Array]:
    """A signal cut into the stream's windows, zeros before its start and after its end."""
    stream = recipe.stream
    signal = sample.value
    if stream is None or isinstance(signal, dict) or signal.ndim != 1:
        raise _unfit(recipe, "a signal for a stream")
    rate_hz: Any = sample.attributes.get("sample_rate_hz")
    if rate_hz != stream.sample_rate_hz:
        raise ConfigurationError(
            f"the signal has {rate_hz} samples in a second, the stream {stream.sample_rate_hz}",
            where=f"recipe {recipe.name}: data.sample_rate_hz",
            mend=f"make it {stream.sample_rate_hz}",
        )
    window, hop = stream.window_samples, stream.hop_samples
    padded = np.pad(signal, (window - hop, -len(signal) % hop)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spec = recipe.inputs.get(stream.input)
    shape = spec.shape if spec and spec.shape else (1, window)
    return {stream.input: np.ascontiguousarray(windows).reshape(len(windows), *shape)}


@PREPROCESS.register("none")
def unchanged(recipe: Recipe, sample: Sample) -> dict[str, Array]:
    """Arrays that already are the model's inputs."""
    if not isinstance(sample.value, dict):
        raise _unfit(recipe, "arrays by input name")
    return sample.value
