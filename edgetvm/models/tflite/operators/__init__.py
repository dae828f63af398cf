"""The table of operators, filled by one module for each family."""

from edgetvm.models.tflite.operators import (
    activations,
    control,
    convolutions,
    detection,
    elementwise,
    indexing,
    lstm,
    moves,
    pools,
    recurrent,
    reductions,
    resizing,
    shapes,
    signal,
)
from edgetvm.models.tflite.rules import RULES

__all__ = [
    "RULES",
    "activations",
    "control",
    "convolutions",
    "detection",
    "elementwise",
    "indexing",
    "lstm",
    "moves",
    "pools",
    "recurrent",
    "reductions",
    "resizing",
    "shapes",
    "signal",
]
