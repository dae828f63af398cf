"""Compile, tune, package and measure trained models on the ARM and x86 boards you own.

The verbs are those of the command line. Each name is imported when it is first used, so that
`import edgetvm` costs nothing.

    import edgetvm

    subject = edgetvm.find_subject("model.onnx")
    measurement = edgetvm.bench(subject)
    print(edgetvm.summarise(measurement).p50_ms)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edgetvm.base.version import __version__

if TYPE_CHECKING:
    from edgetvm.base.errors import EdgetvmError
    from edgetvm.base.steps import listening
    from edgetvm.boards import list_profiles, load_profile
    from edgetvm.compile import CompileOptions, compile_model
    from edgetvm.farm import find_board
    from edgetvm.measure import Plan, summarise
    from edgetvm.models import ImportOptions, import_model, import_torch
    from edgetvm.package import check, read_package, write_package
    from edgetvm.recipes import list_recipes, load_recipe
    from edgetvm.report import write_report
    from edgetvm.tune import Budget
    from edgetvm.workflow import (
        bench,
        build,
        compare,
        estimate,
        find_profile,
        find_subject,
        inspect,
        quantize,
        run,
        tune,
        tuned_schedules,
    )

_ROOM_OF = {
    "Budget": "tune",
    "CompileOptions": "compile",
    "EdgetvmError": "base.errors",
    "ImportOptions": "models",
    "Plan": "measure",
    "bench": "workflow",
    "build": "workflow",
    "check": "package",
    "compare": "workflow",
    "compile_model": "compile",
    "estimate": "workflow",
    "find_board": "farm",
    "find_profile": "workflow",
    "find_subject": "workflow",
    "import_model": "models",
    "import_torch": "models",
    "inspect": "workflow",
    "list_profiles": "boards",
    "list_recipes": "recipes",
    "listening": "base.steps",
    "load_profile": "boards",
    "load_recipe": "recipes",
    "quantize": "workflow",
    "read_package": "package",
    "run": "workflow",
    "summarise": "measure",
    "tune": "workflow",
    "tuned_schedules": "workflow",
    "write_package": "package",
    "write_report": "report",
}

__all__ = [
    "Budget",
    "CompileOptions",
    "EdgetvmError",
    "ImportOptions",
    "Plan",
    "__version__",
    "bench",
    "build",
    "check",
    "compare",
    "compile_model",
    "estimate",
    "find_board",
    "find_profile",
    "find_subject",
    "import_model",
    "import_torch",
    "inspect",
    "list_profiles",
    "list_recipes",
    "listening",
    "load_profile",
    "load_recipe",
    "quantize",
    "read_package",
    "run",
    "summarise",
    "tune",
    "tuned_schedules",
    "write_package",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'edgetvm' has no attribute {name!r}")
    return getattr(import_module(f"edgetvm.{_ROOM_OF[name]}"), name)
