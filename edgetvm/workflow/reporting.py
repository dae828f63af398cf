"""What is known beside measurements: earlier ones, tuning, and how the farm's boards are."""

from __future__ import annotations

from collections.abc import Container, Sequence

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import note, warn
from edgetvm.base.words import plural
from edgetvm.boards.profile import load_profile
from edgetvm.farm.known_farm import farm_url, is_farm_known
from edgetvm.measure.experiment.membership import parts_of
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.statistics import summarise
from edgetvm.measure.store import Store
from edgetvm.report.background import Background, BoardHealth, Past, TuningCurve
from edgetvm.tune.database import TuningDatabase, default_database
from edgetvm.tune.history import history
from edgetvm.tune.records import Conditions
from edgetvm.tune.summary import summaries
from edgetvm.tune.tuning import conditions_of
from edgetvm.tune.verdicts import TunedKernel

_MOST_PAST = 20
# Of a large store so many are looked at, whatever their setting.
_MOST_LOOKED_AT = 60
_MOST_ENDINGS = 3


def background_of(measurements: Sequence[Measurement], store: Store) -> Background:
    """All that is known beside measurements. What cannot be read is left out, with a warning.

    Raises:
        StorageError: the store cannot be read.
        ConfigurationError: a stored measurement is damaged.
    """
    parts = parts_of(store)
    return Background(
        _history(measurements, store, parts),
        _boards(measurements),
        _tuning(measurements),
        tuple(parts[one.id] for one in measurements if one.id in parts),
    )


def latest_plain(
    store: Store, last: int | None = None, model: str | None = None, device: str | None = None
) -> list[Measurement]:
    """The newest measurements, see `Store.latest`, that are of no experiment: those are reported
    by their experiment, which a note says.

    Raises:
        as `background_of`.
    """
    parts = parts_of(store)
    there = parts.keys() & set(store.ids(model, device))
    if there:
        names = ", ".join(sorted({parts[one].experiment for one in there}))
        note(
            f"{plural(len(there), 'measurement')} of experiments ({names}) left out: "
            "edgetvm experiment NAME --stored"
        )
    return store.latest(last, model, device, parts.keys())


def _history(
    measurements: Sequence[Measurement], store: Store, parts: Container[str]
) -> tuple[Past, ...]:
    """The last ones of each model on each board in each setting, the measurements among them.

    Args:
        parts: of experiments, whose turns would push all others out.
    """
    found: dict[str, Past] = {}
    for measurement in measurements:
        count = 0
        known = store.ids(measurement.model, measurement.environment.device)
        ids = [one for one in known if one not in parts or one == measurement.id]
        for one in reversed(ids[-_MOST_LOOKED_AT:]):
            past = found.get(one) or _past(store.load(one))
            if past.is_of(measurement):
                found[one] = past
                count += 1
            if count == _MOST_PAST:
                break
    return tuple(found[one] for one in sorted(found))


def _past(measurement: Measurement) -> Past:
    summary, place = summarise(measurement), measurement.environment
    return Past(
        measurement.id,
        measurement.taken_at,
        measurement.model,
        place.device,
        measurement.scenario,
        place.threads,
        str(measurement.options),
        summary.p50_ms,
        summary.p90_ms,
        not summary.invalid,
    )


def _boards(measurements: Sequence[Measurement]) -> tuple[BoardHealth, ...]:
    if not is_farm_known():
        return ()
    from edgetvm.farm.leases import LeaseStore

    measured = {one.environment.device for one in measurements}
    try:
        with LeaseStore(farm_url()) as leases:
            farm = leases.seen()
    except EdgetvmError as error:
        warn(f"the report tells nothing of the farm: {error}")
        return ()
    return tuple(
        BoardHealth(
            one.board,
            *one.health,
            one.age_s,
            one.temperature_c,
            tuple(over.reason for over in farm.ended if over.board == one.board)[:_MOST_ENDINGS],
        )
        for one in farm.boards
        if one.board in measured
    )


def _tuning(measurements: Sequence[Measurement]) -> tuple[TuningCurve, ...]:
    """A curve for each model and profile that something was tuned for."""
    path = default_database()
    if not path.exists():
        return ()
    found: dict[tuple[str, Conditions], TuningCurve] = {}
    try:
        with TuningDatabase(path, must_exist=True) as database:
            for one in measurements:
                conditions = conditions_of(load_profile(one.environment.profile), one.options)
                if (one.model, conditions) not in found:
                    curve = _curve(database, one, conditions)
                    found |= {} if curve is None else {(one.model, conditions): curve}
    except EdgetvmError as error:
        warn(f"the report tells nothing of tuning: {error}")
    return tuple(found.values())


def _curve(
    database: TuningDatabase, measurement: Measurement, conditions: Conditions
) -> TuningCurve | None:
    tuned = _tuned(database, measurement, conditions)
    told = history(database, conditions, tuned, measurement.model) if tuned else None
    if told is None:
        return None
    return TuningCurve(
        measurement.model,
        conditions.profile,
        str(conditions.level),
        told.default_ms,
        told.best_ms,
        sum(told.outcomes.values()),
        tuple((point.elapsed_s / 60, point.kernels_ms) for point in told.curve),
    )


def _tuned(
    database: TuningDatabase, measurement: Measurement, conditions: Conditions
) -> list[TunedKernel]:
    """Tasks are the measurement's where they compute the same on the same shapes."""
    kernels = {one.workload: one for one in measurement.kernels if one.workload}
    return [
        TunedKernel(
            one.task,
            kernels[one.description].name,
            one.description,
            kernels[one.description].calls,
            kernels[one.description].multiply_adds,
            one.default_ms or 0.0,
            one.best_ms or 0.0,
            one.trials,
        )
        for one in summaries(database, conditions.profile)
        if one.conditions == conditions and one.description in kernels
    ]
