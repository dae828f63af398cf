"""What a user names on the command line: a model file, or a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import NotFoundError
from edgetvm.models.importers import import_model
from edgetvm.models.model import ImportOptions, Model
from edgetvm.recipes import Recipe, find_recipe, list_recipes, load_recipe, model_file

Binding = int | float | list[int] | list[float]


@dataclass(frozen=True)
class Subject:
    """A model to work on.

    Attributes:
        name: for files and reports.
        path: the model file.
        options: shapes, constants and states to fix.
        recipe: where one was named.
    """

    name: str
    path: Path
    options: ImportOptions
    recipe: Recipe | None

    def load(self) -> Model:
        """Import it.

        Raises:
            ModelError: see `edgetvm.models.import_model`.
        """
        return import_model(self.path, self.options, self.name)


def find_subject(
    name: str,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    bindings: Mapping[str, Binding] | None = None,
) -> Subject:
    """The model file or recipe of that name.

    Args:
        name: path of a model file, name of a recipe, or path of a recipe file.
        shapes, bindings: fix inputs; they come before what a recipe says.

    Raises:
        NotFoundError: neither a file nor a recipe.
        ConfigurationError, ModelError, MissingToolError: the recipe or its model cannot be had.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or (not path.exists() and find_recipe(name) is not None):
        return _of_recipe(load_recipe(name), shapes or {}, bindings or {})
    if not path.exists():
        known = [recipe.name for recipe in list_recipes()]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise NotFoundError(
            f"{name!r} is neither a model file nor a recipe",
            mend=f"did you mean {near[0]!r}?" if near else "see: edgetvm recipes list",
        )
    options = ImportOptions(shapes=dict(shapes or {}), bindings=dict(bindings or {}))
    return Subject(path.stem, path, options, None)


def _of_recipe(
    recipe: Recipe,
    shapes: Mapping[str, tuple[int, ...]],
    bindings: Mapping[str, Binding],
) -> Subject:
    fixed = {name: spec.shape for name, spec in recipe.inputs.items() if spec.shape is not None}
    bound = {name: spec.value for name, spec in recipe.inputs.items() if spec.value is not None}
    options = ImportOptions(
        shapes={**fixed, **shapes},
        bindings={**bound, **bindings},
        states=dict(recipe.stream.states) if recipe.stream is not None else {},
    )
    return Subject(recipe.name, model_file(recipe), options, recipe)
