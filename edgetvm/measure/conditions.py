"""How a machine stands at one moment, as its board service tells it: clocks, heat, load, counters.

Two of them enclose a window of runs; `edgetvm.measure.windows` judges what lies between.
"""

from __future__ import annotations

from typing import Any

from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """One look. What the kernel does not show is None.

    Attributes:
        clock_ns: the monotonic clock of the machine.
        governors: of the clocks of all cores, each named once.
        frequencies_khz: of each core now; empty where the kernel shows none.
        max_frequencies_khz: the highest that each core is allowed now; empty likewise.
        temperature_c: of the hottest sensor.
        throttled: the flags of a Raspberry Pi's firmware: bits 0 to 3 now, 16 to 19 since it began.
        throttle_events: how often x86 cores were slowed down for heat since boot, all together.
        load_average: of one minute.
        runnable: threads of the whole machine that run or want to.
        voluntary_switches, involuntary_switches: of the process that runs the model, so far.
        own_cpu_ns: time that all its threads had on cores.
        waited_ns: time that all its threads were ready to run and had no core.
        busy_cpu_ns: time that all cores were not idle, in ticks of the kernel (10 ms mostly).
        stolen_cpu_ns: time that a hypervisor gave to others while this machine wanted to run.
        cores: that the process may use.
        threads: of the process.
        energy_uj: counters of energy, by their names, in microjoules; they may wrap.
    """

    clock_ns: int
    governors: tuple[str, ...]
    frequencies_khz: tuple[int, ...]
    max_frequencies_khz: tuple[int, ...]
    temperature_c: float | None
    throttled: int | None
    throttle_events: int | None
    load_average: float
    runnable: int
    voluntary_switches: int
    involuntary_switches: int
    own_cpu_ns: int
    waited_ns: int | None
    busy_cpu_ns: int
    stolen_cpu_ns: int
    cores: tuple[int, ...]
    threads: int
    energy_uj: dict[str, int]


def conditions_of(told: dict[str, Any]) -> Conditions:
    """From what `board_service.conditions` answers."""
    return Conditions(**told)
