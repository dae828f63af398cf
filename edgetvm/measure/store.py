"""Measurements that are kept: every sample, never changed once it is there.

Figures are derived from them each time (`edgetvm.measure.statistics`), and never stored instead.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Container, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import Engine, Row, Select, select

from edgetvm.base.errors import NotFoundError
from edgetvm.base.paths import data_folder
from edgetvm.measure.measurement import Measurement, from_json, to_json
from edgetvm.measure.samples import Chunk, Samples
from edgetvm.measure.store_tables import MEASUREMENTS, SAMPLES, open_database, store_errors

_URL_VARIABLE = "EDGETVM_RESULTS"
# Stands in a document in the place of its samples.
_PLACE = Samples.of((0,))


def store_url() -> str:
    """Where measurements are kept: `$EDGETVM_RESULTS`, or a file of the user's."""
    return os.environ.get(_URL_VARIABLE) or f"sqlite:///{data_folder() / 'measurements.sqlite'}"


def without_samples(measurement: Measurement) -> bytes:
    """A measurement as JSON, one number standing for all samples."""
    return to_json(replace(measurement, samples_ns=_PLACE))


class Store:
    """A database of measurements. Every method raises StorageError where it cannot be used."""

    def __init__(self, url: str | None = None) -> None:
        """Open it, or make it.

        Args:
            url: see `store_tables.open_database`; `store_url` without it.

        Raises:
            see `store_tables.open_database`.
        """
        self._engine = _engine(url or store_url())

    @property
    def engine(self) -> Engine:
        """The database, for what is kept beside measurements."""
        return self._engine

    def save(self, measurement: Measurement) -> None:
        """Keep a measurement with all its samples: on the disk when this returns, or not at all."""
        samples = measurement.samples_ns
        row = {
            "id": measurement.id,
            "model": measurement.model,
            "device": measurement.environment.device,
            "scenario": measurement.scenario,
            "tuned": measurement.is_tuned,
            "samples": len(samples),
            "document": without_samples(measurement).decode(),
        }
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(MEASUREMENTS.insert(), row)
            for piece, chunk in enumerate(samples.chunks()):
                values = np.ascontiguousarray(chunk, "<i8").tobytes()
                one = {"measurement": measurement.id, "piece": piece, "values_ns": values}
                connection.execute(SAMPLES.insert(), one)

    def ids(self, model: str | None = None, device: str | None = None) -> list[str]:
        """All measurements, oldest first; of one model or device where they are named."""
        asked = _of(select(MEASUREMENTS.c.id).order_by(MEASUREMENTS.c.id), model, device)
        with store_errors(self._engine), self._engine.connect() as connection:
            return list(connection.execute(asked).scalars())

    def load(self, measurement_id: str) -> Measurement:
        """The measurement of that id; its samples are read when they are asked for.

        Raises:
            NotFoundError: none has that id.
            ConfigurationError: it is damaged, or of another edgetvm.
        """
        asked = select(MEASUREMENTS).where(MEASUREMENTS.c.id == measurement_id)
        with store_errors(self._engine), self._engine.connect() as connection:
            row = connection.execute(asked).one_or_none()
        if row is None:
            raise self._not_found(measurement_id)
        return self._measurement(row)

    def _not_found(self, measurement_id: str) -> NotFoundError:
        known = self.ids()
        near = difflib.get_close_matches(measurement_id, known, n=1)
        mend = "see all: edgetvm results list" if known else "measure one: edgetvm bench MODEL"
        return NotFoundError(
            f"no measurement has the id {measurement_id!r}",
            mend=f"did you mean {near[0]}?" if near else mend,
        )

    def latest(
        self,
        count: int | None = None,
        model: str | None = None,
        device: str | None = None,
        without: Container[str] = (),
    ) -> list[Measurement]:
        """The newest measurement of each model on each device and of each scenario, tuned and
        untuned, oldest first; or the last `count`; of one model or device where they are named.

        Args:
            without: ids that are left out.

        Raises:
            ConfigurationError: one is damaged.
        """
        c = MEASUREMENTS.c
        asked = select(c.id, c.model, c.device, c.scenario, c.tuned).order_by(c.id)
        asked = _of(asked, model, device)
        with store_errors(self._engine), self._engine.connect() as connection:
            rows = [row for row in connection.execute(asked) if row.id not in without]
        if count is not None:
            return [self.load(row.id) for row in rows[-count:]]
        newest = {tuple(row)[1:]: row.id for row in rows}
        return [self.load(found) for found in sorted(newest.values())]

    def _measurement(self, row: Row[tuple[object, ...]]) -> Measurement:
        where = f"measurement {row.id}"
        measurement = from_json(row.document.encode(), where)
        samples = Samples(row.samples, lambda: self._chunks(row.id))
        return replace(measurement, samples_ns=samples)

    def _chunks(self, measurement_id: str) -> Iterator[Chunk]:
        asked = (
            select(SAMPLES.c.values_ns)
            .where(SAMPLES.c.measurement == measurement_id)
            .order_by(SAMPLES.c.piece)
            .execution_options(yield_per=4)
        )
        with store_errors(self._engine), self._engine.connect() as connection:
            for values in connection.execute(asked).scalars():
                yield np.frombuffer(values, "<i8").astype(np.int64)


def _of(asked: Select[Any], model: str | None, device: str | None) -> Select[Any]:
    if model is not None:
        asked = asked.where(MEASUREMENTS.c.model == model)
    return asked if device is None else asked.where(MEASUREMENTS.c.device == device)


@lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return open_database(url)


def save(measurement: Measurement) -> None:
    """Keep a measurement in the user's store: see `Store.save`."""
    Store().save(measurement)


def load(measurement_id: str) -> Measurement:
    """A measurement of the user's store: see `Store.load`."""
    return Store().load(measurement_id)


def latest(count: int | None = None) -> list[Measurement]:
    """The newest measurements of the user's store: see `Store.latest`."""
    return Store().latest(count)
