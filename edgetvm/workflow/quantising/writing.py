"""The files that a quantisation leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors, write_bytes, write_text
from edgetvm.base.version import __version__
from edgetvm.models.model import Model
from edgetvm.recipes import InputSpec, ModelFile, Recipe, recipe_text
from edgetvm.workflow.subject import Subject, recipe_name

if TYPE_CHECKING:
    import onnx


_MARK = "# Written by edgetvm quantize.\n"


def check_free(output: Path, subject: Subject) -> None:
    """Refuse to write over what is not ours to write over.

    Raises:
        UsageError: the file is the model itself, or the recipe beside it is somebody's own.
    """
    if output.exists() and output.samefile(subject.path):
        raise UsageError(
            "it is the model itself", where=str(output), mend="choose another with --output"
        )
    path = _recipe_path(output)
    if subject.recipe is not None and path.exists():
        with storage_errors(path):
            ours = path.read_bytes().startswith(_MARK.encode())
        if not ours:
            raise UsageError(
                "the recipe of that name exists, and edgetvm quantize did not write it",
                where=str(path),
                mend="choose another with --output",
            )


def _recipe_path(output: Path) -> Path:
    return output.with_name(f"{recipe_name(output.stem)}.yaml")


def write_model(
    graph: onnx.ModelProto, model: Model, told: Mapping[str, str], output: Path
) -> None:
    """With the metadata of the source, and where it comes from."""
    import onnx

    source = onnx.load(model.source, load_external_data=False)
    known = {entry.key: entry.value for entry in source.metadata_props}
    onnx.helper.set_model_props(graph, {**known, **told})
    graph.producer_name, graph.producer_version = "edgetvm", __version__
    write_bytes(output, graph.SerializeToString())


def write_recipe(output: Path, recipe: Recipe | None, model: Model) -> Path | None:
    """The recipe for the new file: what was fixed is so in the file, too."""
    if recipe is None:
        return None
    path = _recipe_path(output)
    text = recipe_text(
        replace(
            recipe,
            name=path.stem,
            description=f"{recipe.description}, int8",
            model=ModelFile(path=Path(output.name)),
            inputs={spec.name: InputSpec(shape=spec.shape) for spec in model.signature.inputs},
        )
    )
    write_text(path, _MARK + text)
    return path
