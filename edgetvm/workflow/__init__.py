"""The verbs: what each command does, for Python callers too."""

from edgetvm.workflow.bench import Benched, bench, bench_any, bench_each
from edgetvm.workflow.build import Built, build
from edgetvm.workflow.calibrating import calibrate_on
from edgetvm.workflow.checking import check_model
from edgetvm.workflow.comparing import Contest, Turn, compare_in_turns, compare_stored
from edgetvm.workflow.estimating import estimate, estimate_package
from edgetvm.workflow.experimenting import plan_experiment, run_experiment, stored_experiment
from edgetvm.workflow.farm_serving import serve_farm
from edgetvm.workflow.gating import GatePlan, gate
from edgetvm.workflow.inspecting import Inspection, inspect, inspect_package
from edgetvm.workflow.package_files import check_replaceable, keep_package, package_path
from edgetvm.workflow.packaging import package_for
from edgetvm.workflow.pipelines import work_through
from edgetvm.workflow.quantising import Comparison, Quantized, compare, quantize
from edgetvm.workflow.running import RunResult, read_inputs, run, write_outputs
from edgetvm.workflow.serving import (
    Limits,
    Offer,
    Server,
    Share,
    offer,
    open_server,
    page_path,
)
from edgetvm.workflow.subject import (
    Subject,
    find_profile,
    find_subject,
    find_target,
    new_recipe,
)
from edgetvm.workflow.tuning import explain, tune, tune_estimated, tuned_schedules

__all__ = [
    "Benched",
    "Built",
    "Comparison",
    "Contest",
    "GatePlan",
    "Inspection",
    "Limits",
    "Offer",
    "Quantized",
    "RunResult",
    "Server",
    "Share",
    "Subject",
    "Turn",
    "bench",
    "bench_any",
    "bench_each",
    "build",
    "calibrate_on",
    "check_model",
    "check_replaceable",
    "compare",
    "compare_in_turns",
    "compare_stored",
    "estimate",
    "estimate_package",
    "explain",
    "find_profile",
    "find_subject",
    "find_target",
    "gate",
    "inspect",
    "inspect_package",
    "keep_package",
    "new_recipe",
    "offer",
    "open_server",
    "package_for",
    "package_path",
    "page_path",
    "plan_experiment",
    "quantize",
    "read_inputs",
    "run",
    "run_experiment",
    "serve_farm",
    "stored_experiment",
    "tune",
    "tune_estimated",
    "tuned_schedules",
    "work_through",
    "write_outputs",
]
