"""Measurements on disk: one JSON file each, never changed once it is written."""

from __future__ import annotations

import difflib
from pathlib import Path

from edgetvm.base.errors import NotFoundError
from edgetvm.base.files import storage_errors, write_bytes
from edgetvm.base.paths import data_folder
from edgetvm.measure.measurement import Measurement, read_measurement, to_json


def store_folder() -> Path:
    """Where measurements lie."""
    return data_folder() / "measurements"


def save(measurement: Measurement) -> Path:
    """Keep a measurement, synced to disk before this returns.

    Raises:
        StorageError: disk full, no permission.
    """
    folder = store_folder()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{measurement.id}.json"
    write_bytes(path, to_json(measurement))
    return path


def _ids() -> list[str]:
    return sorted(path.stem for path in store_folder().glob("*.json"))


def load(measurement_id: str) -> Measurement:
    """The measurement of that id.

    Raises:
        NotFoundError: none has that id.
        ConfigurationError: its file is damaged.
    """
    known = _ids()
    if measurement_id not in known:
        near = difflib.get_close_matches(measurement_id, known, n=1)
        raise NotFoundError(
            f"no measurement has the id {measurement_id!r}",
            mend=f"did you mean {near[0]}?" if near else "measure one: edgetvm bench MODEL",
        )
    return read_measurement(store_folder() / f"{measurement_id}.json")


def latest(count: int | None = None) -> list[Measurement]:
    """The newest measurement of each model on each device, tuned and untuned, oldest first; or the
    last `count`.

    Raises:
        ConfigurationError: a file is damaged.
    """
    if count is not None:
        return [load(measurement_id) for measurement_id in _ids()[-count:]]
    measurements = [load(measurement_id) for measurement_id in _ids()]
    newest = {
        (entry.model, entry.environment.device, entry.is_tuned): entry for entry in measurements
    }
    return sorted(newest.values(), key=lambda entry: entry.id)
