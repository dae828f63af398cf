"""Where the farm's database is. Nothing here opens it: most commands have no farm."""

from __future__ import annotations

import os
from pathlib import Path

from edgetvm.base.paths import data_folder

_VARIABLE = "EDGETVM_FARM"
_SQLITE = "sqlite:///"


def farm_url() -> str:
    """`$EDGETVM_FARM`, or `farm.sqlite` in the user's data folder."""
    return os.environ.get(_VARIABLE) or f"{_SQLITE}{data_folder() / 'farm.sqlite'}"


def is_farm_known() -> bool:
    """Whether there may be a farm: its database is named, or is where it lies by default."""
    named = os.environ.get(_VARIABLE)
    return bool(named) or Path(farm_url().removeprefix(_SQLITE)).exists()
