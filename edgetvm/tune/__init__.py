"""Searching schedules, measured on boards over RPC."""

from edgetvm.tune.budget import Budget
from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.progress import Progress
from edgetvm.tune.tuning import conditions_of, tune_model
from edgetvm.tune.verdicts import Tuned, TunedKernel

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
