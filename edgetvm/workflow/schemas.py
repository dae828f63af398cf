"""The published YAML formats."""

from __future__ import annotations

from typing import Any

from edgetvm.base.yamlfile import json_schema
from edgetvm.boards.profile import BoardProfile
from edgetvm.farm.inventory_file import InventoryFile
from edgetvm.recipes import Pipeline, Recipe

FORMATS: dict[str, tuple[type[object], str]] = {
    "profile": (BoardProfile, "edgetvm board profile"),
    "inventory": (InventoryFile, "edgetvm inventory of boards"),
    "recipe": (Recipe, "edgetvm recipe"),
    "pipeline": (Pipeline, "edgetvm pipeline"),
}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one of `FORMATS`."""
    return json_schema(*FORMATS[name])
