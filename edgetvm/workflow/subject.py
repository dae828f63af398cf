"""What a user names on the command line: a model file, or a recipe."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import NotFoundError, UsageError
from edgetvm.base.files import storage_errors, write_text
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.farm.inventory import Board, load_inventory
from edgetvm.models.importers import MODEL_SUFFIXES, import_model, importer_for
from edgetvm.models.model import ImportOptions, Model
from edgetvm.recipes import (
    Recipe,
    find_recipe,
    list_recipes,
    load_recipe,
    model_file,
    starting_recipe,
    with_folder,
    without_folder,
)

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
    data: Path | None = None,
) -> Subject:
    """The model file or recipe of that name.

    Args:
        name: path of a model file, name of a recipe, or path of a recipe file.
        shapes, bindings: fix inputs; they come before what a recipe says.
        data: a folder in place of a recipe's own data, see `edgetvm.recipes.with_folder`.

    Raises:
        UsageError: the folder cannot be a recipe's data, or no recipe is named.
        NotFoundError: neither a file nor a recipe.
        ConfigurationError, ModelError, MissingToolError: the recipe or its model cannot be had.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or (not path.exists() and find_recipe(name) is not None):
        recipe = load_recipe(name)
        recipe = without_folder(recipe) if data is None else with_folder(recipe, data)
        return _of_recipe(recipe, shapes or {}, bindings or {})
    if not path.exists() and path.suffix.lower() not in MODEL_SUFFIXES:
        known = [recipe.name for recipe in list_recipes()]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise NotFoundError(
            f"{name!r} is neither a model file nor a recipe",
            mend=f"did you mean {near[0]!r}?" if near else "see: edgetvm recipes list",
        )
    importer_for(path)
    if data is not None:
        raise UsageError(
            "a model file says nothing of its data", where=name, mend="name a recipe with --data"
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


def find_profile(name: str) -> BoardProfile:
    """The profile of that name, or of the board of that name.

    Raises:
        NotFoundError: neither.
        ConfigurationError: its file, or the inventory, cannot be used.
    """
    boards = load_inventory()
    return load_profile(boards[name].profile if name in boards else name)


def find_target(name: str) -> Board | BoardProfile:
    """The board of that name, or else the profile, for which there is no board.

    Raises:
        NotFoundError: neither.
        ConfigurationError: its file, or the inventory, cannot be used.
    """
    boards = load_inventory()
    return boards[name] if name in boards else load_profile(name)


def recipe_name(text: str) -> str:
    """The nearest to a text that a recipe can be called."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") or "model"


def new_recipe(subject: Subject, name: str | None = None, path: Path | None = None) -> Path:
    """Write a starting recipe for a model file.

    Args:
        subject: of a model file; it is imported, so that its inputs are known.
        name: of the recipe; that of `path`, or the model's own, without it.
        path: to write; `recipes/NAME.yaml` in this folder without it.

    Raises:
        UsageError: the file exists.
        ConfigurationError: a recipe cannot have that name.
        ModelError: the model cannot be read.
        StorageError: the file cannot be written.
    """
    name = name or recipe_name(path.stem if path is not None else subject.name)
    path = path or Path("recipes", f"{name}.yaml")
    if path.exists():
        raise UsageError("it exists", where=str(path), mend="choose another with --output")
    shapes = {spec.name: spec.shape for spec in subject.load().signature.inputs}
    text = starting_recipe(name, subject.path.resolve(), shapes, subject.options.bindings)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
