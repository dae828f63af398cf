"""Searching schedules, measured on boards over RPC."""

from edgetvm.tune.tuning import Tuned, TunedKernel, database_folder, tune_module

__all__ = ["Tuned", "TunedKernel", "database_folder", "tune_module"]
