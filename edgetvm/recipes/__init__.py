"""Recipes: a model with its task, data, pre- and postprocessing, metrics and deadline."""

from edgetvm.recipes.accuracy import Confusion, Track, confusion, track
from edgetvm.recipes.brought import told_data, with_folder, without_folder
from edgetvm.recipes.ctc import beam_search, best_path
from edgetvm.recipes.data import Sample, samples, spoken, wav
from edgetvm.recipes.enhancement import scale_invariant_ratio_db
from edgetvm.recipes.fetch import fetch, fetch_members, model_file
from edgetvm.recipes.gathered import package_pictures
from edgetvm.recipes.metrics import decision_agreement, lost_pct, score, unmet
from edgetvm.recipes.modules import run_module
from edgetvm.recipes.noise import with_noise
from edgetvm.recipes.pipeline import Pipeline, Stage, Stages, list_pipelines, load_pipeline
from edgetvm.recipes.pipeline_steps import find_boxes, find_points
from edgetvm.recipes.postprocess import Prediction, interpret
from edgetvm.recipes.preprocess import fitted, prepare
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
    load_recipe_called,
    processing_of,
    recipe_text,
    starting_recipe,
)
from edgetvm.recipes.recordings import Heard, record, with_audio
from edgetvm.recipes.registry import (
    DATA,
    METRICS,
    MODELS,
    PIPELINES,
    POSTPROCESS,
    PREPROCESS,
    Processing,
)
from edgetvm.recipes.speech import noisy_speech, recordings_with_texts
from edgetvm.recipes.videos import frame_rate_hz, with_video

__all__ = [
    "DATA",
    "METRICS",
    "MODELS",
    "PIPELINES",
    "POSTPROCESS",
    "PREPROCESS",
    "Confusion",
    "Heard",
    "InputSpec",
    "ModelFile",
    "Pipeline",
    "Prediction",
    "Processing",
    "Recipe",
    "Sample",
    "Stage",
    "Stages",
    "StreamSpec",
    "Track",
    "beam_search",
    "best_path",
    "confusion",
    "decision_agreement",
    "fetch",
    "fetch_members",
    "find_boxes",
    "find_points",
    "find_recipe",
    "fitted",
    "form_of",
    "frame_rate_hz",
    "interpret",
    "label_names",
    "list_pipelines",
    "list_recipes",
    "load_pipeline",
    "load_recipe",
    "load_recipe_called",
    "lost_pct",
    "model_file",
    "noisy_speech",
    "package_pictures",
    "prepare",
    "processing_of",
    "recipe_text",
    "record",
    "recordings_with_texts",
    "run_module",
    "samples",
    "scale_invariant_ratio_db",
    "score",
    "spoken",
    "starting_recipe",
    "told_data",
    "track",
    "unmet",
    "wav",
    "with_audio",
    "with_folder",
    "with_noise",
    "with_video",
    "without_folder",
]
