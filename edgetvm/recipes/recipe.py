"""The `Recipe` record and the YAML files it is read from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import numpy as np
import yaml
from pydantic import (
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.named_files import files_of, find, find_called
from edgetvm.base.yamlfile import Keys, read_yaml
from edgetvm.recipes.modules import code_of
from edgetvm.recipes.registry import (
    DATA,
    METRICS,
    POSTPROCESS,
    PREPROCESS,
    ChosenFrom,
    NameFrom,
    Processing,
    refusal,
)

_STRICT = ConfigDict(extra="forbid")
Positive = Annotated[int, Field(gt=0)]
PACKAGE = r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*$"
_WORD = "[a-z0-9][a-z0-9._-]*"
NAME = f"^{_WORD}(/{_WORD})*$"


@dataclass(frozen=True, config=_STRICT)
class ModelFile:
    """A file that a recipe needs, and where it comes from: a model, a picture, a recording."""

    package: Annotated[
        str | None,
        Field(
            pattern=PACKAGE,
            description="Python package that holds it, with its version: `silero-vad==6.2.3`.",
        ),
    ] = None
    file: Annotated[str | None, Field(description="The file's path inside the package.")] = None
    path: Annotated[
        Path | None, Field(description="A file of this machine, from the recipe's folder on.")
    ] = None
    url: Annotated[
        str | None, Field(pattern=r"^https://[^/\s]+/\S+$", description="Where to download it.")
    ] = None
    made_by: Annotated[
        str | None,
        Field(
            pattern=rf"^{_WORD}$",
            description="A function of the recipe's `module` that writes the file, called as the "
            "file is: `whisper-encoder.onnx`.",
        ),
    ] = None
    sha256: Annotated[
        str | None,
        Field(pattern="^[0-9a-f]{64}$", description="Of the file's bytes, 64 hexadecimal digits."),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [self.package, self.path, self.url, self.made_by]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("exactly one of `package`, `path`, `url` and `made_by`")
        if (self.package or self.url) is not None and self.sha256 is None:
            raise ValueError("complete: give `sha256` (of the file) with `package` or `url`")
        if (self.package is None) != (self.file is None):
            raise ValueError("complete: `package` and `file` go together")
        parts = PurePosixPath(self.file or "").parts
        if ".." in parts or "/" in parts:
            raise ValueError("a file inside the package: `file` may not leave it")
        return self

    @property
    def basename(self) -> str:
        """The file's own name."""
        return PurePosixPath(str(self.path or self.file or self.url or self.made_by)).name


@dataclass(frozen=True, config=_STRICT)
class InputSpec:
    """What a recipe says of one input of its model."""

    shape: Annotated[
        tuple[Positive, ...] | None, Field(description="Its shape, where the model leaves it open.")
    ] = None
    value: Annotated[
        StrictInt | StrictFloat | list[Any] | None,
        Field(description="Makes the input a constant of the model: a number or nested lists."),
    ] = None

    @field_validator("value")
    @classmethod
    def _numbers(cls, value: int | float | list[Any] | None) -> int | float | list[Any] | None:
        try:
            numeric = value is None or np.asarray(value).dtype.kind in "iuf"
        except (ValueError, OverflowError):
            numeric = False
        if not numeric:
            raise ValueError("a number of at most 64 bits, or nested lists of equal length of such")
        return value

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.shape is not None and self.value is not None:
            raise ValueError("either `shape` or `value`, for a value brings its own shape")
        return self


@dataclass(frozen=True, config=_STRICT)
class StreamSpec:
    """How a model is fed chunk after chunk from a running signal."""

    sample_rate_hz: Annotated[Positive, Field(description="Samples in a second.")]
    window_samples: Annotated[Positive, Field(description="Samples that one call takes.")]
    hop_samples: Annotated[Positive, Field(description="New samples in each of them.")]
    input: Annotated[str, Field(description="Name of the input that takes the windows.")]
    states: Annotated[
        dict[str, str],
        Field(description="Inputs that take what an output gave at the call before; first zeros."),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_gap(self) -> Self:
        if self.hop_samples > self.window_samples:
            raise ValueError("without gaps: `hop_samples` at most `window_samples`")
        return self

    @property
    def chunk_ms(self) -> float:
        """Milliseconds of new signal in each call."""
        return 1000 * self.hop_samples / self.sample_rate_hz


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """A model with its task: where it comes from, what goes in, what comes out, how good it is."""

    name: Annotated[
        str,
        Field(
            pattern=NAME,
            description="Equals the file's path below `recipes`: `vision/ppocr-det`.",
        ),
    ]
    task: Annotated[str, Field(min_length=1, description="What the model does: `text-detection`.")]
    description: Annotated[str, Field(description="What people call the model.")]
    licence: Annotated[str, Field(description="Of the model's weights.")]
    model: Annotated[ModelFile, Field(description="The model file.")]
    inputs: Annotated[
        dict[str, InputSpec], Field(description="Open shapes and constants, by input name.")
    ] = Field(default_factory=dict)
    data: Annotated[
        Annotated[Processing, ChosenFrom(DATA)] | None,
        Field(description="Samples to run on; random numbers where there is none."),
    ] = None
    brought: Annotated[
        Annotated[Processing, ChosenFrom(DATA)] | None,
        Field(
            description="How a folder that is given with `--data` is read, where the recipe has no "
            "data of its own."
        ),
    ] = None
    preprocess: Annotated[
        Annotated[Processing, ChosenFrom(PREPROCESS)] | None,
        Field(description="How a sample becomes the model's inputs."),
    ] = None
    postprocess: Annotated[
        Annotated[Processing, ChosenFrom(POSTPROCESS)] | None,
        Field(description="How the model's outputs become a prediction."),
    ] = None
    metrics: Annotated[
        tuple[Annotated[str, NameFrom(METRICS)], ...],
        Field(description="What to score the predictions by."),
    ] = ()
    accept: Annotated[
        dict[Annotated[str, NameFrom(METRICS)], float],
        Field(
            description="What a metric must reach, or, where none is best, must not exceed: "
            "`{top1: 0.85}`."
        ),
    ] = Field(default_factory=dict)
    licence_text: Annotated[
        str,
        Field(description="The licence's text, which packages carry; that of Apache-2.0 is known."),
    ] = ""
    deadline_ms: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Field(description="Milliseconds within which one call must answer."),
    ] = None
    stream: Annotated[
        StreamSpec | None, Field(description="For a model that follows a running signal.")
    ] = None
    module: Annotated[
        Path | None,
        Field(
            description="A Python file, from the recipe's folder on, whose functions for data, "
            "preprocess, postprocess and metrics it may name."
        ),
    ] = None

    @field_validator("module")
    @classmethod
    def _python(cls, module: Path | None) -> Path | None:
        if module is not None and module.suffix != ".py":
            raise ValueError("a Python file: NAME.py")
        return module

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self._check_stream()
        self._check_metrics()
        return self

    def _check_stream(self) -> None:
        for key, registry in (("preprocess", PREPROCESS), ("postprocess", POSTPROCESS)):
            chosen: Processing | None = getattr(self, key)
            if chosen and self.stream is None and registry.needs_stream(chosen.name):
                raise refusal((key, "name"), chosen.name, "used with a `stream:` section: add one")
        if self.stream is None or not self.inputs:
            return
        known = ", ".join(self.inputs)
        if self.stream.input not in self.inputs:
            raise refusal(("stream", "input"), self.stream.input, f"one of `inputs`: {known}")
        for state in self.stream.states:
            if state not in self.inputs:
                raise refusal(("stream", "states", state), state, f"one of `inputs`: {known}")
        shape = self.inputs[self.stream.input].shape
        if shape is not None and int(np.prod(shape, dtype=object)) != self.stream.window_samples:
            raise refusal(
                ("stream", "window_samples"),
                self.stream.window_samples,
                f"the size of input {self.stream.input}, whose shape is {list(shape)}",
            )

    def _check_metrics(self) -> None:
        for metric in self.accept:
            if metric not in self.metrics:
                raise refusal(("accept", metric), metric, "one of `metrics`: add it there")
            if METRICS.best(metric) is None:
                raise refusal(("accept", metric), metric, "left out: it is no score")
        if not self.metrics:
            return
        if (self.data or self.brought) is None or self.postprocess is None:
            raise refusal(
                ("metrics",), list(self.metrics), "used with `data:` and `postprocess:`: add both"
            )
        fitting = METRICS.names(reads=POSTPROCESS.form(self.postprocess.name))
        for index, metric in enumerate(self.metrics):
            if metric not in fitting:
                some = f"one of: {', '.join(fitting)}" if fitting else "left out"
                raise refusal(
                    ("metrics", index),
                    metric,
                    f"{some} (for {self.postprocess.name})",
                )


def _anchored(file: ModelFile, folder: Path) -> ModelFile:
    return file if file.path is None else replace(file, path=folder / file.path)


# What may be named by functions of a recipe's own module.
_CHOSEN = ("data", "brought", "preprocess", "postprocess", "metrics", "accept")


def _without_code(keys: Keys) -> Keys:
    """Keys that can be checked without the module's functions."""
    if "module" not in keys:
        return keys
    return {key: value for key, value in keys.items() if key not in _CHOSEN}


def _read_recipe(path: Path, before: Callable[[Keys], Keys]) -> Recipe:
    recipe = read_yaml(path, Recipe, before)
    check_name(recipe.name, path)
    folder = path.absolute().parent
    data = anchored_data(recipe.data, folder)
    module = recipe.module and folder / recipe.module
    return replace(recipe, model=_anchored(recipe.model, folder), data=data, module=module)


def check_name(name: str, path: Path) -> None:
    """Refuse a file whose name for itself is not that of its place.

    Raises:
        ConfigurationError: so it is.
    """
    if not path.absolute().with_suffix("").as_posix().endswith("/" + name):
        raise ConfigurationError(
            f"name is {name!r}",
            where=str(path),
            mend=f"it should end in {path.stem!r}: the path below the recipes folder",
        )


def anchored_data(data: Processing | None, folder: Path) -> Processing | None:
    """The same, files in it looked for from a folder on."""
    return data and Processing(
        data.name,
        {
            key: _anchored(value, folder) if isinstance(value, ModelFile) else value
            for key, value in data.parameters.items()
        },
    )


def find_recipe(name: str) -> Path | None:
    """The file of the recipe of that name on the search path, or None."""
    return files_of("recipes").get(name)


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by name from the search path (`edgetvm.base.paths.search_folders`), or by file.

    Relative paths in it start at its own folder. Its module is run, unless the recipe was found by
    name in the current folder, which nobody chose.

    Raises:
        NotFoundError: no such recipe or file; names the nearest recipe.
        ConfigurationError: the file cannot be used; names file, line, key path and the mend.
    """
    found = find("recipes", name_or_path)
    return _read_recipe(found.path, code_of(found))


def load_recipe_called(name: str) -> Recipe:
    """A recipe by name, whatever files are called so: for names that no user gave.

    Raises:
        NotFoundError, ConfigurationError: see `load_recipe`.
    """
    found = find_called("recipes", name)
    return _read_recipe(found.path, code_of(found))


def list_recipes() -> list[Recipe]:
    """All recipes on the search path, by name.

    Modules are not run: a recipe that has one comes without data, processing and metrics.

    Raises:
        ConfigurationError: one of the files cannot be used.
    """
    return [_read_recipe(path, _without_code) for _, path in sorted(files_of("recipes").items())]


def recipe_text(recipe: Recipe) -> str:
    """A recipe as YAML that reads as the same recipe. Paths in it stay as they are."""
    document = TypeAdapter(Recipe).dump_python(recipe, mode="json", exclude_defaults=True)
    for key in ("data", "brought", "preprocess", "postprocess"):
        if key in document:
            chosen = document[key]
            document[key] = {"name": chosen["name"], **_plain(chosen["parameters"])}
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text


def processing_of(recipe: Recipe) -> dict[str, Any] | None:
    """`preprocess`, `postprocess` and `stream` as JSON knows them; None where it has none."""
    document = json.loads(TypeAdapter(Recipe).dump_json(recipe, exclude_defaults=True))
    found: dict[str, Any] = {
        key: {"name": document[key]["name"], **_plain(document[key]["parameters"])}
        for key in ("preprocess", "postprocess")
        if key in document
    }
    if "stream" in document:
        found["stream"] = document["stream"]
    return found or None


def form_of(recipe: Recipe) -> str:
    """The postprocess whose predictions have the keys of the recipe's; empty without one."""
    return POSTPROCESS.form(recipe.postprocess.name) if recipe.postprocess else ""


def label_names(recipe: Recipe) -> tuple[str, ...]:
    """Names of the classes that the model chooses from, where its recipe tells them."""
    parameters = recipe.postprocess.parameters if recipe.postprocess else {}
    return tuple(parameters.get("labels") or ())


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without those of their records that say nothing."""
    return {
        key: {part: one for part, one in value.items() if one is not None}
        if isinstance(value, dict)
        else value
        for key, value in parameters.items()
    }


_STARTING_RECIPE = """\
# A recipe says what edgetvm cannot see in the model itself. All keys: docs/reference/yaml.md
name: {name}  # equals this file's path below the recipes folder
task: unknown  # text-detection, keyword-spotting, image-classification, …
description: {description}
licence: unknown  # of the model's weights

model:
  path: {path}  # a relative path starts at this file's folder
{inputs}
# Real data and a score. Without them the model runs on random numbers.
# data:
#   name: picture
#   source: {{path: photo.jpg}}
#   label: tabby cat
# preprocess:
#   name: image  # resized to the input's shape, then (pixel * scale - mean) / std
#   layout: nchw
#   mean: [0.485, 0.456, 0.406]
#   std: [0.229, 0.224, 0.225]
# postprocess:
#   name: top-k
# metrics: [top1]

# deadline_ms: 33  # a call that takes longer counts as late
"""


def starting_recipe(
    name: str,
    model_path: str | Path,
    inputs: Mapping[str, tuple[int, ...]],
    bindings: Mapping[str, object] | None = None,
) -> str:
    """YAML text of a recipe for a model file, commented, for its user to go on from.

    Args:
        inputs: shapes by input name. Those that the model leaves open must be chosen by now.
        bindings: inputs that are constants, by name.

    Raises:
        ConfigurationError: a recipe cannot have that name, or a shape is not of positive sizes.
    """
    if not re.fullmatch(f"{_WORD}(/{_WORD})*", name):
        raise ConfigurationError(
            f"{name!r} cannot be a recipe's name",
            mend="use small letters, digits, `.`, `_`, `-` and `/`",
        )
    lines = []
    for input_name, shape in inputs.items():
        if any(size <= 0 for size in shape):
            raise ConfigurationError(
                f"shape {list(shape)} has an open size", where=input_name, mend="choose a size"
            )
        lines.append(f"  {_quoted(input_name)}: {{shape: {list(shape)}}}\n")
    for input_name, value in (bindings or {}).items():
        lines.append(f"  {_quoted(input_name)}: {{value: {value}}}\n")
    path = Path(model_path).resolve()
    return _STARTING_RECIPE.format(
        name=_quoted(name),
        description=_quoted(path.stem),
        path=_quoted(str(path)),
        inputs="\ninputs:\n" + "".join(lines) if lines else "",
    )


def _quoted(text: str) -> str:
    """`text` as YAML that means it, quoted where it must be."""
    quoted: str = yaml.safe_dump(text, default_style='"', width=float("inf"), allow_unicode=True)
    return quoted.strip()
