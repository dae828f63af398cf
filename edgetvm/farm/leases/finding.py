"""The farm that commands of this user talk to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgetvm.base.errors import BoardError
from edgetvm.farm.known_farm import farm_url, is_farm_known
from edgetvm.farm.leases.store import LeaseStore


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
