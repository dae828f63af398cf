"""Recipes: a model with its task, data, pre- and postprocessing, metrics and deadline."""

from edgetvm.recipes.accuracy import Confusion, confusion
from edgetvm.recipes.data import Sample, samples
from edgetvm.recipes.fetch import fetch, model_file
from edgetvm.recipes.gathered import with_folder
from edgetvm.recipes.metrics import decision_agreement, lost_pct, score, unmet
from edgetvm.recipes.modules import run_module
from edgetvm.recipes.postprocess import Prediction, interpret
from edgetvm.recipes.preprocess import prepare
from edgetvm.recipes.recipe import (
    InputSpec,
    ModelFile,
    Recipe,
    StreamSpec,
    find_recipe,
    form_of,
    label_names,
    list_recipes,
    load_recipe,
    processing_of,
    recipe_text,
    starting_recipe,
)
from edgetvm.recipes.recordings import Heard, record, with_audio
from edgetvm.recipes.registry import DATA, METRICS, MODELS, POSTPROCESS, PREPROCESS, Processing
from edgetvm.recipes.videos import frame_rate_hz, with_video

__all__ = [
    "DATA",
    "METRICS",
    "MODELS",
    "POSTPROCESS",
    "PREPROCESS",
    "Confusion",
    "Heard",
    "InputSpec",
    "ModelFile",
    "Prediction",
    "Processing",
    "Recipe",
    "Sample",
    "StreamSpec",
    "confusion",
    "decision_agreement",
    "fetch",
    "find_recipe",
    "form_of",
    "frame_rate_hz",
    "interpret",
    "label_names",
    "list_recipes",
    "load_recipe",
    "lost_pct",
    "model_file",
    "prepare",
    "processing_of",
    "recipe_text",
    "record",
    "run_module",
    "samples",
    "score",
    "starting_recipe",
    "unmet",
    "with_audio",
    "with_folder",
    "with_video",
]
