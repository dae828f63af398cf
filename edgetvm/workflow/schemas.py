"""The published formats: YAML that people write, and the JSON of reports."""

from __future__ import annotations

from typing import Any

from edgetvm.base.yamlfile import json_schema
from edgetvm.boards.profile import BoardProfile
from edgetvm.farm.inventory_file import InventoryFile
from edgetvm.recipes import Pipeline, Recipe
from edgetvm.report.document import report_schema

FORMATS: dict[str, tuple[type[object], str]] = {
    "profile": (BoardProfile, "edgetvm board profile"),
    "inventory": (InventoryFile, "edgetvm inventory of boards"),
    "recipe": (Recipe, "edgetvm recipe"),
    "pipeline": (Pipeline, "edgetvm pipeline"),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one of `FORMATS`, or of `report`."""
    return report_schema() if name == "report" else json_schema(*FORMATS[name])
