"""How this machine and this process stand now, as the kernel tells it: see `board_service`."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

# The columns of a line of /proc/stat, see proc(5).
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
# Counters of energy in microjoules. Of RAPL only whole packages: their parts are in them.
_METERS = (
    (Path("/sys/class/powercap"), "intel-rapl:[!:]*", "energy_uj"),
    (Path("/sys/class/hwmon"), "hwmon*", "energy*_input"),
)


def temperature_c() -> float | None:
    """The hottest sensor; None where there is none."""
    found = []
    for sensor in Path("/sys/class/thermal").glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):
            found.append(int(sensor.read_text()) / 1000)
    return max(found, default=None)


def throttled_flags() -> int | None:
    """The flags of a Raspberry Pi's firmware; None on other boards."""
    with suppress(OSError, ValueError):
        return int(Path("/sys/devices/platform/soc/soc:firmware/get_throttled").read_text(), 16)
    return None


def conditions_now() -> dict[str, Any]:
    """The fields of `edgetvm.measure.conditions.Conditions`."""
    cores = sorted(os.sched_getaffinity(0))
    tasks = list(Path("/proc/self/task").iterdir())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    throttle_events = _of_cores(cores, "thermal_throttle/core_throttle_count")
    load, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    busy_ns, stolen_ns = _busy_and_stolen_ns(cores)
    return {
        "clock_ns": time.monotonic_ns(),
        "governors": list(dict.fromkeys(_of_cores(cores, "cpufreq/scaling_governor"))),
        "frequencies_khz": list(map(int, _of_cores(cores, "cpufreq/scaling_cur_freq"))),
        "max_frequencies_khz": list(map(int, _of_cores(cores, "cpufreq/scaling_max_freq"))),
        "temperature_c": temperature_c(),
        "throttled": throttled_flags(),
        "throttle_events": sum(map(int, throttle_events)) if throttle_events else None,
        "load_average": float(load),
        "runnable": int(running.split("/")[0]),
        "busy_cpu_ns": busy_ns,
        "stolen_cpu_ns": stolen_ns,
        "voluntary_switches": usage.ru_nvcsw,
        "involuntary_switches": usage.ru_nivcsw,
        "own_cpu_ns": round((usage.ru_utime + usage.ru_stime) * 1e9),
        "waited_ns": _waited_ns(tasks),
        "threads": len(tasks),
        "cores": cores,
        "energy_uj": _energy_uj(),
    }


def _of_cores(cores: list[int], file: str) -> list[str]:
    """The lines of a file that each core has, of those that have it."""
    found = []
    for core in cores:
        with suppress(OSError):
            found.append(Path(f"/sys/devices/system/cpu/cpu{core}", file).read_text().strip())
    return [line for line in found if line]


def _waited_ns(tasks: list[Path]) -> int | None:
    """How long threads stood in queues for a core; None where the kernel does not count it."""
    found = []
    for task in tasks:
        with suppress(OSError, ValueError, IndexError):
            found.append(int((task / "schedstat").read_text().split()[1]))
    return sum(found) if found else None


def _busy_and_stolen_ns(cores: list[int]) -> tuple[int, int]:
    wanted = {f"cpu{core}" for core in cores}
    busy = stolen = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *columns = line.split()
        if name in wanted:
            ticks = [int(one) for one in columns[: _STEAL + 1]]
            busy += sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT] - ticks[_STEAL]
            stolen += ticks[_STEAL]
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    return busy * tick_ns, stolen * tick_ns


def _energy_uj() -> dict[str, int]:
    found = {}
    for folder, entries, files in _METERS:
        for file in folder.glob(f"{entries}/{files}"):
            if file.parent.name.count(":") < 2:
                with suppress(OSError, ValueError):
                    found[f"{file.parent.name}/{file.name}"] = int(file.read_text())
    return found
