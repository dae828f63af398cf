"""A system whose every time is known: its clock moves only when it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from made_conditions import QUIET
from made_measurements import MS

from edgetvm.measure.conditions import Conditions
from edgetvm.measure.system_under_test import Answered, Opening, Queries


@dataclass
class Scripted:
    """A system that takes the times that it is told, in turn.

    Attributes:
        run_ns: of runs, over and over.
        hot: windows that the board is throttled in, by number.
        wake_ns: how late it begins what it waited for.
    """

    run_ns: tuple[int, ...] = (MS,)
    hot: frozenset[int] = frozenset()
    wake_ns: int = 0
    name: str = "scripted"
    runs: int = 0
    now_ns: int = 0
    looks: int = 0
    opened: int = 0
    asked: list[Queries] = field(default_factory=list)

    def open(self) -> Opening:
        self.opened += 1
        self.now_ns += 30 * MS
        return Opening(20 * MS + self.opened, 10 * MS)

    def time_queries(self, queries: Queries) -> Answered:
        self.asked.append(queries)
        began, ended, now = [], [], 0
        arrivals = queries.arrivals_ns
        first = 0 if arrivals is None else int(arrivals[0])
        for index in range(queries.count):
            if arrivals is not None and int(arrivals[index]) > now:
                now = int(arrivals[index]) + self.wake_ns
            began.append(now)
            for _ in range(queries.runs_per_query):
                now += self.run_ns[self.runs % len(self.run_ns)]
                self.runs += 1
            ended.append(now)
            if now > first + queries.max_s * 1e9:
                break
        self.now_ns += now
        return Answered(np.asarray(began), np.asarray(ended), now, now + 3 * MS)

    def conditions(self) -> Conditions:
        window, self.looks = self.looks, self.looks + 1
        busy = {"own_cpu_ns": self.now_ns, "busy_cpu_ns": self.now_ns}
        flags = 0xF if window in self.hot else 0
        return replace(QUIET, clock_ns=self.now_ns, throttled=flags, **busy)
