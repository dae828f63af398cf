"""Energy of a run, where the board has a meter that counts it: RAPL, or a sensor of hwmon."""

from __future__ import annotations

from edgetvm.measure.measurement import Measurement
from edgetvm.measure.windows import Window, reasons


def energy_mj(measurement: Measurement) -> float | None:
    """What all meters of the board counted in valid windows, by run of the model, in millijoules.

    Idle power is in it: a meter knows nothing of processes.

    Returns:
        None where there is no meter, or where none of the windows can be told.
    """
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
