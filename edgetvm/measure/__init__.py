"""Latency, memory and correctness of packages on boards; the store of what was measured."""

from edgetvm.measure.beside import Beside, PeerRun, check_peers, measure_beside, times_as_long
from edgetvm.measure.deployment import Deployment, deploy
from edgetvm.measure.kernel_times import KernelTime, KernelTimes, time_kernels
from edgetvm.measure.measurement import Environment, Measurement, StepRecord
from edgetvm.measure.measuring import measure
from edgetvm.measure.pacing import RealTimePlan, run_in_real_time
from edgetvm.measure.plan import Plan
from edgetvm.measure.real_time import RealTime, Word, words_heard
from edgetvm.measure.real_time_figures import RealTimeFigures, figures_of
from edgetvm.measure.statistics import Summary, percentile, summarise
from edgetvm.measure.store import Store, latest, load, save
from edgetvm.measure.system_under_test import Answered, Opening, Queries, SystemUnderTest

__all__ = [
    "Answered",
    "Beside",
    "Deployment",
    "Environment",
    "KernelTime",
    "KernelTimes",
    "Measurement",
    "Opening",
    "PeerRun",
    "Plan",
    "Queries",
    "RealTime",
    "RealTimeFigures",
    "RealTimePlan",
    "StepRecord",
    "Store",
    "Summary",
    "SystemUnderTest",
    "Word",
    "check_peers",
    "deploy",
    "figures_of",
    "latest",
    "load",
    "measure",
    "measure_beside",
    "percentile",
    "run_in_real_time",
    "save",
    "summarise",
    "time_kernels",
    "times_as_long",
    "words_heard",
]
