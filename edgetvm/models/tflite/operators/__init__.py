"""The table of operators, filled by one module for each family."""

from edgetvm.models.tflite.operators import (
    control,
    convolutions,
    elementwise,
    moves,
    pools,
    recurrent,
    reductions,
    resizing,
    shapes,
)
from edgetvm.models.tflite.rules import RULES

__all__ = [
    "RULES",
    "control",
    "convolutions",
    "elementwise",
    "moves",
    "pools",
    "recurrent",
    "reductions",
    "resizing",
    "shapes",
]
