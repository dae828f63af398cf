"""Experiments: what is missing of a matrix is built and measured, and all of it is told."""

from edgetvm.workflow.experimenting.planning import Planned, plan_experiment
from edgetvm.workflow.experimenting.running import run_experiment, stored_experiment

__all__ = ["Planned", "plan_experiment", "run_experiment", "stored_experiment"]
