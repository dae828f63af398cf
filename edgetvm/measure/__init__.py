"""Latency, memory and correctness of packages on boards; the store of what was measured."""

from edgetvm.measure.deployment import Deployment, deploy
from edgetvm.measure.kernel_times import KernelTime, KernelTimes, time_kernels
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.measuring import Plan, measure
from edgetvm.measure.statistics import Summary, percentile, summarise
from edgetvm.measure.store import Store, latest, load, save
from edgetvm.measure.system_under_test import Answered, Opening, Queries, SystemUnderTest

__all__ = [
    "Answered",
    "Deployment",
    "Environment",
    "KernelTime",
    "KernelTimes",
    "Measurement",
    "Opening",
    "Plan",
    "Queries",
    "StepRecord",
    "Store",
    "Summary",
    "SystemUnderTest",
    "deploy",
    "latest",
    "load",
    "measure",
    "percentile",
    "save",
    "summarise",
    "time_kernels",
]
