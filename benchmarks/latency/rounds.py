"""Rounds: every worker gets a short turn in each, alone on the machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from benchmarks.latency.case import Timings
from benchmarks.latency.crew import Worker, WorkerLost
from benchmarks.latency.engines import YARDSTICKS
from benchmarks.latency.machine import Peak, Roof, busy_s

# Of one core, by all other processes together, and what a hypervisor took.
_MOST_FOREIGN = 0.08
# The kernel counts processor time in ticks of this length.
_TICK_S = 0.01
_LEAST_PEAK = 0.85
_BURSTS = 3


@dataclass(frozen=True)
class Plan:
    """How long is measured.

    Attributes:
        rounds: turns of every worker.
        seconds: of one turn.
        least: samples of each worker in all; those with fewer, slow or disturbed, get more
            rounds for it, up to three times as many.
    """

    rounds: int
    seconds: float
    least: int
    warm_s: float = 0.05


@dataclass
class Turns:
    """What went on around the turns of one model.

    Attributes:
        foreign: turns in which others used the machine.
        absent: turns beside which a core was not there.
        idle_s: the most processor time that sleeping workers used in any turn.
        lowest_peak: GFLOP/s beside any turn that counts, over what the machine can do.
    """

    taken: int = 0
    foreign: int = 0
    absent: int = 0
    idle_s: float = 0.0
    lowest_peak: float = 1.0


def measure(
    workers: list[Worker], timings: dict[Worker, Timings], plan: Plan, peak: Peak, roof: Roof
) -> Turns:
    """Take rounds of turns until each worker has enough samples; fills `timings`."""
    turns = Turns()
    left = list(workers)
    for index in range(3 * plan.rounds):
        if index >= plan.rounds:
            left = [
                one
                for one in left
                if len(timings[one].samples_ns) < plan.least and one.task.engine not in YARDSTICKS
            ]
        # Another one goes first each time: what follows a heavy neighbour is not always the same.
        start = index % max(1, len(left))
        for worker in left[start:] + left[:start]:
            try:
                _turn(worker, workers, timings[worker], plan, peak, roof, turns)
            except WorkerLost as error:
                timings[worker].why = str(error)
                worker.end()
                left.remove(worker)
                workers.remove(worker)
        if not left:
            break
    return turns


def _turn(
    worker: Worker,
    workers: list[Worker],
    timings: Timings,
    plan: Plan,
    peak: Peak,
    roof: Roof,
    turns: Turns,
) -> None:
    """One turn; samples that something disturbed are kept apart."""
    others = {other: other.cpu_s() for other in workers if other is not worker}
    busy, own, began = busy_s(), worker.cpu_s(), time.monotonic()
    samples = worker.turn(plan.warm_s, plan.seconds, 1)
    elapsed = time.monotonic() - began
    foreign = busy_s() - busy - (worker.cpu_s() - own)
    idle = sum(other.cpu_s() - used for other, used in others.items())
    disturbed = foreign > _MOST_FOREIGN * elapsed + 2 * _TICK_S
    there = max(peak.gflops(roof.threads) for _ in range(_BURSTS)) / roof.gflops
    turns.taken += 1
    turns.idle_s = max(turns.idle_s, idle)
    turns.foreign += disturbed
    turns.absent += there < _LEAST_PEAK
    if disturbed or there < _LEAST_PEAK:
        timings.disturbed_ns += samples
    else:
        turns.lowest_peak = min(turns.lowest_peak, there)
        timings.samples_ns += samples


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
