"""What the page shows: the farm, trials under way, and the last results."""

from __future__ import annotations

import time
from typing import Any

from edgetvm.base.errors import EdgetvmError
from edgetvm.farm.leases import LeaseStore
from edgetvm.farm.leases.document import farm_document
from edgetvm.measure.statistics import summarise
from edgetvm.measure.store import latest
from edgetvm.tune.database import TuningDatabase, default_database

_TRIALS_S = 60.0
_RESULTS = 10


def page_document(store: LeaseStore) -> dict[str, Any]:
    """All of it, as JSON has it. Holds no secret.

    Raises:
        StorageError: the farm's database cannot be used.
    """
    return {**farm_document(store.seen()), "trials": _trials(), "results": _results()}


def _trials() -> list[dict[str, Any]]:
    """By board: how many were measured in the last minute, and the last of them."""
    if not default_database().exists():
        return []
    try:
        with TuningDatabase(default_database(), must_exist=True) as database:
            found = database.since(time.time() - _TRIALS_S)
    except EdgetvmError:  # the page has more to show than this
        return []
    names = ("board", "in_last_minute", "measured_at", "task", "outcome")
    return [dict(zip(names, row, strict=True)) for row in found]


def _results() -> list[dict[str, Any]]:
    try:
        found = latest(_RESULTS)
    except EdgetvmError:  # as above
        return []
    return [
        {
            "model": one.model,
            "board": one.environment.device,
            "p50_ms": summarise(one).p50_ms,
            "taken_at": one.taken_at,
        }
        for one in reversed(found)
    ]
