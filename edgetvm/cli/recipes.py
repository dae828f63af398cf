"""`edgetvm recipes`: models that are ready to be measured."""

from __future__ import annotations

from pathlib import Path

import click

from edgetvm.cli.options import Bound, json_option, subject_options


@click.group("recipes", short_help="Recipes: models with data, steps before and after, metrics.")
def command() -> None:
    """Recipes: a model with its data, pre- and postprocessing, metrics and deadline."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """All recipes."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import recipes_view
    from edgetvm.recipes import list_recipes

    recipes = list_recipes()
    documents = [
        {"name": recipe.name, "task": recipe.task, "description": recipe.description}
        for recipe in recipes
    ]
    Terminal(as_json).result(documents, recipes_view(recipes))


@command.command("show")
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """One recipe, every value."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import recipe_document, record_view
    from edgetvm.recipes import load_recipe

    document = recipe_document(load_recipe(name))
    Terminal(as_json).result(document, record_view(document))


@command.command("new")
@click.argument("model", type=click.Path(path_type=Path))
@subject_options
@click.option("--name", help="Name of the recipe; the model file's own without it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="Recipe to write; recipes/NAME.yaml in this folder without it.",
)
def new_command(
    model: Path,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    name: str | None,
    output: Path | None,
) -> None:
    """Write a starting recipe from a model file."""
    from edgetvm.cli.terminal import Terminal
    from edgetvm.workflow import find_subject, new_recipe

    terminal = Terminal()
    with terminal.steps():
        subject = find_subject(str(model), dict(shapes), dict(bindings))
        path = new_recipe(subject, name, output)
    terminal.result(None, f"{path}")
    terminal.say("edit it, then run: edgetvm bench " + str(path))
