"""How the board was while it was measured: places of samples in time, heat, clocks, bad windows."""

from __future__ import annotations

import numpy as np

from edgetvm.base.words import plural
from edgetvm.measure.conditions import Conditions
from edgetvm.measure.energy import energy_mj
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.samples import spaced
from edgetvm.measure.windows import Window, reasons
from edgetvm.report.charts import Course, Strip


def looks_of(measurement: Measurement) -> list[Conditions]:
    """All looks at the board, from before the first window to after the last."""
    windows = measurement.windows
    return [windows[0].before, *(window.after for window in windows)] if windows else []


def looks_told(measurement: Measurement) -> dict[str, str]:
    """What the looks at the board found, from the first to the last; without what is not known."""
    looks = looks_of(measurement)
    if not looks:
        return {}
    heat = [look.temperature_c for look in looks if look.temperature_c is not None]
    clocks = [clock for look in looks for clock in look.frequencies_khz]
    switches = looks[-1].involuntary_switches - looks[0].involuntary_switches
    told = {
        "governor": ", ".join(dict.fromkeys(g for look in looks for g in look.governors)),
        "clock": f"{min(clocks) / 1e3:.0f} to {max(clocks) / 1e3:.0f} MHz" if clocks else "",
        "temperature": f"{heat[0]:.1f} °C before, {max(heat):.1f} °C most" if heat else "",
        "load": f"{looks[0].load_average:.2f} before, {looks[-1].load_average:.2f} after",
        "preempted": plural(switches, "time"),
    }
    return {name: words for name, words in told.items() if words}


def energy_told(measurement: Measurement) -> str | None:
    """What meters told of the valid windows, by run; None without a meter."""
    found = energy_mj(measurement)
    return None if found is None else f"{found:.3g} mJ a run, of the whole board's meter"


def windows_told(measurement: Measurement) -> str:
    """`3 of 40 windows INVALID`; empty where nobody looked."""
    windows = measurement.judged_windows
    invalid = sum(bool(reasons(window)) for window in windows)
    return f"{invalid} of {plural(len(windows), 'window')} INVALID" if windows else ""


def course_of(measurement: Measurement, run: str, most: int) -> Course:
    """The samples on a line of time, with heat and clocks; in the order taken without windows.

    Within a window, which is about a second, they are spread evenly.
    """
    samples = measurement.samples_ns
    samples_ms = [sample / 1e6 for sample in spaced(samples, most)]
    step = -(-len(samples) // most)
    windows = measurement.windows
    if sum(window.count for window in windows) != len(samples):
        places = [float(at) for at in range(0, len(samples), step)]
        return Course(places, samples_ms, f"{run}, in the order taken", run)
    looks = looks_of(measurement)
    origin_ns = looks[0].clock_ns
    begins = np.cumsum([0, *(window.count for window in windows)])
    at = np.arange(0, len(samples), step)
    window = np.searchsorted(begins[1:], at, "right")
    parts = (at - begins[window] + 0.5) / np.diff(begins)[window]
    edges = np.asarray([[one.before.clock_ns, one.after.clock_ns] for one in windows]) - origin_ns
    places_ns = edges[window, 0] + parts * (edges[window, 1] - edges[window, 0])
    return Course(
        (places_ns / 1e9).tolist(),
        samples_ms,
        "seconds since the first window began",
        "s",
        _invalid_spans(measurement.judged_windows, origin_ns),
        _strips(looks, origin_ns),
    )


def _invalid_spans(windows: tuple[Window, ...], origin_ns: int) -> list[tuple[float, float]]:
    """Stretches of neighbouring windows that do not count."""
    spans: list[tuple[float, float]] = []
    for window in windows:
        if reasons(window):
            begin_s = (window.before.clock_ns - origin_ns) / 1e9
            end_s = (window.after.clock_ns - origin_ns) / 1e9
            if spans and begin_s - spans[-1][1] < 1e-3:
                begin_s = spans.pop()[0]
            spans.append((begin_s, end_s))
    return spans


def _strips(looks: list[Conditions], origin_ns: int) -> list[Strip]:
    heat = [
        (_second(look, origin_ns), look.temperature_c, look.temperature_c)
        for look in looks
        if look.temperature_c is not None
    ]
    clocks = [
        (
            _second(look, origin_ns),
            min(look.frequencies_khz) / 1e3,
            max(look.frequencies_khz) / 1e3,
        )
        for look in looks
        if look.frequencies_khz
    ]
    strips = [
        Strip("temperature of the hottest sensor, °C", tuple(_thinned(heat))),
        Strip("clocks, slowest to fastest core, MHz", tuple(_thinned(clocks))),
    ]
    return [one for one in strips if one.points]


def _second(look: Conditions, origin_ns: int) -> float:
    return (look.clock_ns - origin_ns) / 1e9


_MOST_LOOKS = 40


def _thinned(points: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Lowest and highest of neighbours together, so that no peak is lost."""
    each = -(-len(points) // _MOST_LOOKS) or 1
    groups = [points[at : at + each] for at in range(0, len(points), each)]
    return [
        (group[-1][0], min(low for _, low, _ in group), max(high for *_, high in group))
        for group in groups
    ]
