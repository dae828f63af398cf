"""Searching schedules, measured on boards over RPC."""

from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.progress import Progress
from edgetvm.tune.search import Budget
from edgetvm.tune.tuning import Tuned, TunedKernel, conditions_of, tune_model

__all__ = [
    "Budget",
    "Progress",
    "Tuned",
    "TunedKernel",
    "TuningDatabase",
    "conditions_of",
    "default_database",
    "tune_model",
]
