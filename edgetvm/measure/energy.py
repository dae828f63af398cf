"""Energy of a run, where a meter tells: RAPL, a sensor of hwmon, or one beside the board."""

from __future__ import annotations

from statistics import fmean

from edgetvm.measure.measurement import Measurement
from edgetvm.measure.rules import WITH_WAITING
from edgetvm.measure.windows import Window, reasons


def energy_mj(measurement: Measurement) -> float | None:
    """By run of the model, in millijoules: what all meters of the board counted in valid windows.

    Where it has none, the mean power that a meter beside it told, for as long as the valid windows
    lasted. Idle power is in it: a meter knows nothing of processes.

    Returns:
        None where there is no meter, or where none of the windows can be told.
    """
    return _counted_mj(measurement) or _metered_mj(measurement)


def _metered_mj(measurement: Measurement) -> float | None:
    """A server waits between its queries, which would be counted as runs."""
    windows = [window for window in measurement.judged_windows if not reasons(window)]
    runs = sum(window.count for window in windows) * measurement.runs_per_query
    if not measurement.power or not runs or measurement.scenario in WITH_WAITING:
        return None
    watts = fmean(reading.watts for reading in measurement.power)
    return watts * sum(window.span_ns for window in windows) / runs / 1e6


def _counted_mj(measurement: Measurement) -> float | None:
    windows = [window for window in measurement.judged_windows if not reasons(window)]
    told = [(window, window_uj(window)) for window in windows]
    known = [(window.count, energy) for window, energy in told if energy is not None]
    runs = sum(count for count, _ in known) * measurement.runs_per_query
    return sum(energy for _, energy in known) / runs / 1e3 if runs else None


def window_uj(window: Window) -> int | None:
    """What the meters counted between two looks; None without one, or where one began anew."""
    before, after = window.before.energy_uj, window.after.energy_uj
    if not after or before.keys() != after.keys():
        return None
    spent = [after[name] - before[name] for name in after]
    return sum(spent) if min(spent) >= 0 else None
