"""What a user names to be served: a package, or what one is built from."""

from __future__ import annotations

from pathlib import Path

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.steps import warn
from edgetvm.boards.profile import load_profile
from edgetvm.farm.inventory import LOCAL
from edgetvm.package.archive import Package, is_package, read_package
from edgetvm.recipes import Recipe, find_recipe, load_recipe_called, processing_of
from edgetvm.workflow.build import build
from edgetvm.workflow.serving.served import Offer
from edgetvm.workflow.subject import find_subject


def offer(name: str) -> Offer:
    """The package of that name, or the one that a recipe or model file gives for this machine.

    Raises:
        PackageError: the file is damaged.
        EdgetvmError: see `find_subject` and `build`.
    """
    path = Path(name)
    if path.suffix == ".edgetvm" or is_package(path):
        package = read_package(path)
        return Offer(package, _recipe_of(package))
    subject = find_subject(name)
    return Offer(build(subject, load_profile(LOCAL.profile)).package, subject.recipe)


def _recipe_of(package: Package) -> Recipe | None:
    """The recipe of its name, where that says of inputs and outputs what the package says."""
    manifest = package.manifest
    if manifest.processing is None or find_recipe(manifest.name) is None:
        return None
    try:
        recipe = load_recipe_called(manifest.name)
    except ConfigurationError as error:  # of a file that nobody named: the package does without
        warn(f"{manifest.name} is served without a page: {error}")
        return None
    return recipe if processing_of(recipe) == manifest.processing else None
