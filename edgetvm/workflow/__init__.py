"""The verbs: what each command does, for Python callers too."""

from edgetvm.workflow.bench import bench
from edgetvm.workflow.build import Built, build
from edgetvm.workflow.checking import check_model
from edgetvm.workflow.inspecting import Inspection, inspect, inspect_package
from edgetvm.workflow.running import RunResult, read_inputs, run, write_outputs
from edgetvm.workflow.subject import Subject, find_profile, find_subject, new_recipe
from edgetvm.workflow.tuning import tune

__all__ = [
    "Built",
    "Inspection",
    "RunResult",
    "Subject",
    "bench",
    "build",
    "check_model",
    "find_profile",
    "find_subject",
    "inspect",
    "inspect_package",
    "new_recipe",
    "read_inputs",
    "run",
    "tune",
    "write_outputs",
]
