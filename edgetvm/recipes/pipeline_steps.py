"""Steps that need no module of their own."""

from __future__ import annotations

from edgetvm.recipes.data import Sample
from edgetvm.recipes.pipeline import Stages
from edgetvm.recipes.postprocess import Prediction
from edgetvm.recipes.registry import PIPELINES


def _only(stages: Stages, sample: Sample) -> Prediction:
    (stage,) = stages.values()
    return stage.predict(sample)


@PIPELINES.register("find-boxes", reads="text-boxes")
def find_boxes(stages: Stages, sample: Sample) -> Prediction:
    """What the only stage finds: `boxes` and `scores`."""
    return _only(stages, sample)


@PIPELINES.register("find-points", reads="values")
def find_points(stages: Stages, sample: Sample) -> Prediction:
    """What the only stage finds: `points` and `lines` between them."""
    return _only(stages, sample)
