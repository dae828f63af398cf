"""Pipelines: several recipes' models that work together on one sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgetvm.base.named_files import files_of, find
from edgetvm.base.yamlfile import Keys, read_yaml
from edgetvm.recipes.modules import code_of
from edgetvm.recipes.recipe import NAME, Recipe, anchored_data, check_name
from edgetvm.recipes.registry import (
    DATA,
    METRICS,
    PIPELINES,
    ChosenFrom,
    NameFrom,
    Processing,
    refusal,
)

if TYPE_CHECKING:
    from edgetvm.recipes.data import Sample
    from edgetvm.recipes.postprocess import Prediction

_STRICT = ConfigDict(extra="forbid")
_CHOSEN = ("steps", "data", "metrics", "accept")


class Stage(Protocol):
    """One model of a pipeline, wherever it runs."""

    @property
    @abstractmethod
    def recipe(self) -> Recipe:
        """Its recipe."""

    @abstractmethod
    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.generic]]:
        """One run: arrays by input name in, arrays by output name out."""

    @abstractmethod
    def predict(self, sample: Sample) -> Prediction:
        """What its recipe's pre- and postprocessing make of a sample."""


Stages: TypeAlias = Mapping[str, Stage]


@dataclass(frozen=True, config=_STRICT)
class Pipeline:
    """Models of several recipes, and what happens between them."""

    name: Annotated[
        str,
        Field(pattern=NAME, description="Equals the file's path below `pipelines`: `vision/text`."),
    ]
    task: Annotated[str, Field(min_length=1, description="What it does: `text-reading`.")]
    description: Annotated[str, Field(description="What people call it.")]
    stages: Annotated[
        dict[str, Annotated[str, Field(pattern=NAME)]],
        Field(min_length=1, description="Recipes by the names that the steps have for them."),
    ]
    steps: Annotated[
        Annotated[Processing, ChosenFrom(PIPELINES)] | None,
        Field(description="A function that runs the stages on a sample, and its parameters."),
    ] = None
    data: Annotated[
        Annotated[Processing, ChosenFrom(DATA)] | None, Field(description="As a recipe's.")
    ] = None
    metrics: Annotated[
        tuple[Annotated[str, NameFrom(METRICS)], ...], Field(description="As a recipe's.")
    ] = ()
    accept: Annotated[
        dict[Annotated[str, NameFrom(METRICS)], float], Field(description="As a recipe's.")
    ] = Field(default_factory=dict)
    module: Annotated[
        Path | None,
        Field(description="A Python file, from this file's folder on, with such functions."),
    ] = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for stage, recipe in self.stages.items():
            # The file would be run, whoever wrote the pipeline.
            if recipe.endswith((".yaml", ".yml")):
                raise refusal(("stages", stage), recipe, "the name of a recipe, not its file")
        reads = PIPELINES.reads(self.steps.name) if self.steps is not None else ""
        for index, metric in enumerate(self.metrics):
            if metric not in METRICS.names(reads=reads):
                fitting = METRICS.names(reads=reads)
                some = f"one of: {', '.join(fitting)}" if fitting else "left out"
                raise refusal(("metrics", index), metric, f"{some} (for these steps)")
        for metric in self.accept:
            if metric not in self.metrics:
                raise refusal(("accept", metric), metric, "one of `metrics`: add it there")
            if METRICS.best(metric) is None:
                raise refusal(("accept", metric), metric, "left out: it is no score")
        return self


def load_pipeline(name_or_path: str) -> Pipeline:
    """A pipeline by name from the search path, or by file. Its module is run as a recipe's.

    Raises:
        NotFoundError: no such pipeline or file; names the nearest.
        ConfigurationError: the file cannot be used; names file, line, key path and the mend.
    """
    found = find("pipelines", name_or_path)
    return _read(found.path, code_of(found))


def list_pipelines() -> list[Pipeline]:
    """All pipelines on the search path, by name, without what their modules' functions do.

    Raises:
        ConfigurationError: one of the files cannot be used.
    """
    return [_read(path, _without_code) for _, path in sorted(files_of("pipelines").items())]


def _without_code(keys: Keys) -> Keys:
    return {key: value for key, value in keys.items() if key not in _CHOSEN}


def _read(path: Path, before: Callable[[Keys], Keys]) -> Pipeline:
    pipeline = read_yaml(path, Pipeline, before)
    check_name(pipeline.name, path)
    folder = path.absolute().parent
    module = pipeline.module and folder / pipeline.module
    return replace(pipeline, data=anchored_data(pipeline.data, folder), module=module)
