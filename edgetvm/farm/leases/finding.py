"""The farm that commands of this user talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgetvm.base.errors import BoardError
from edgetvm.base.paths import data_folder
from edgetvm.farm.leases.store import LeaseStore

FARM_VARIABLE = "EDGETVM_FARM"
_SQLITE = "sqlite:///"


def farm_url() -> str:
    """`$EDGETVM_FARM`, or `farm.sqlite` in the user's data folder."""
    return os.environ.get(FARM_VARIABLE) or f"{_SQLITE}{data_folder() / 'farm.sqlite'}"


def is_farm_known() -> bool:
    """Whether there may be a farm: its database is named, or is where it lies by default."""
    named = os.environ.get(FARM_VARIABLE)
    return bool(named) or Path(farm_url().removeprefix(_SQLITE)).exists()


@contextmanager
def open_farm() -> Iterator[LeaseStore]:
    """The farm's leases.

    Raises:
        BoardError: there is no farm.
        StorageError: its database cannot be used.
    """
    if not is_farm_known():
        raise BoardError("there is no farm", mend="start one: edgetvm farm up")
    with LeaseStore(farm_url()) as store:
        yield store
