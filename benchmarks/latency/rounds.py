"""Rounds: every worker gets a short turn in each, alone on the machine."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from benchmarks.latency.case import Timings
from benchmarks.latency.engines import YARDSTICKS
from benchmarks.latency.machine import Peak, Roof, busy_s
from edgetvm.measure.peers.crew import Worker, WorkerLost

# Of one core, by all other processes together, and what a hypervisor took.
_MOST_FOREIGN = 0.08
# The kernel counts processor time in ticks of this length.
_TICK_S = 0.01
_LEAST_PEAK = 0.85
_LOOK_S = 0.2
_BURSTS = 3


@dataclass(frozen=True)
class Plan:
    """How long is measured.

    Attributes:
        rounds: turns of every worker.
        seconds: of one turn.
        least: samples of each worker in all; those with fewer, slow or disturbed, get more
            rounds for it, up to three times as many.
        patience_s: to wait in all, of one model, for others to be done and for missing cores.
    """

    rounds: int
    seconds: float
    least: int
    warm_s: float = 0.05
    patience_s: float = 60


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
    patience = _Patience(plan.patience_s, peak, roof)
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
                if not _turn(worker, workers, timings[worker], plan, peak, roof, turns):
                    patience.wait()
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
) -> bool:
    """One turn; samples that something disturbed are kept apart. Whether nothing did."""
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
        return False
    turns.lowest_peak = min(turns.lowest_peak, there)
    timings.samples_ns += samples
    return True


class _Patience:
    """Waits while the machine is in use by others, or lacks a core, until the time is used up."""

    def __init__(self, seconds: float, peak: Peak, roof: Roof) -> None:
        self._left_s = seconds
        self._peak, self._roof = peak, roof

    def wait(self) -> None:
        """All workers are asleep now: whatever is busy is not ours."""
        while self._left_s > 0:
            began, busy = time.monotonic(), busy_s()
            time.sleep(_LOOK_S)
            quiet = busy_s() - busy <= _MOST_FOREIGN * _LOOK_S + _TICK_S
            there = self._peak.gflops(self._roof.threads) / self._roof.gflops
            self._left_s -= time.monotonic() - began
            if quiet and there >= _LEAST_PEAK:
                return


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
