"""The published formats: YAML that people write, and the JSON of reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgetvm.base.yamlfile import json_schema
from edgetvm.boards.profile import BoardProfile
from edgetvm.farm.inventory_file import InventoryFile
from edgetvm.measure.experiment.file import Experiment
from edgetvm.recipes import Pipeline, Recipe
from edgetvm.report.document import JSON_SCHEMA_VERSION, report_schema
from edgetvm.report.experiment.document import SCHEMA_VERSION, experiment_report_schema

FORMATS: dict[str, tuple[type[object], str]] = {
    "profile": (BoardProfile, "edgetvm board profile"),
    "inventory": (InventoryFile, "edgetvm inventory of boards"),
    "recipe": (Recipe, "edgetvm recipe"),
    "pipeline": (Pipeline, "edgetvm pipeline"),
    "experiment": (Experiment, "edgetvm experiment"),
}


# Of each format the version that is written.
REPORTS: dict[str, tuple[Callable[[], dict[str, Any]], int]] = {
    "report": (report_schema, JSON_SCHEMA_VERSION),
    "experiment-report": (experiment_report_schema, SCHEMA_VERSION),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one of `FORMATS` or `REPORTS`."""
    return REPORTS[name][0]() if name in REPORTS else json_schema(*FORMATS[name])
