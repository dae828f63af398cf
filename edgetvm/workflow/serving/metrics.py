"""What is counted while models are served, in the text format that Prometheus reads.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From a kernel's time to a client's patience.
_BOUNDS_S = tuple(digit * 10.0**power for power in range(-5, 1) for digit in (1, 2.5, 5)) + (10.0,)

_HISTOGRAMS = {
    "request": "From a request's arrival to its answer.",
    "queue": "How long it waited for an executor.",
    "run": "How long it had one: inputs set, run, outputs read.",
}


class Histogram:
    """Durations, by the bound that they do not exceed."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(_BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """As Prometheus reads it."""
        total = 0
        for bound, count in zip((*_BOUNDS_S, math.inf), self._counts, strict=True):
            total += count
            told = "+Inf" if bound == math.inf else f"{bound:g}"
            yield f'{name}_bucket{{{labels},le="{told}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self._sum_s:.9g}"
        yield f"{name}_count{{{labels}}} {total}"


@dataclass
class ModelMetrics:
    """Of one version of a model. The event loop alone writes here.

    Attributes:
        answered: requests by the status that they were answered with.
        seconds: histograms by what they time.
        in_flight: requests that have no answer yet.
        waiting: tells how many of these wait for an executor.
        listeners: whose signal is heard live.
    """

    waiting: Callable[[], int]
    answered: Counter[int] = field(default_factory=Counter)
    seconds: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram() for name in _HISTOGRAMS}
    )
    in_flight: int = 0
    listeners: int = 0

    def ran(self, queue_s: float, run_s: float) -> None:
        """Count a run."""
        self.seconds["queue"].add(queue_s)
        self.seconds["run"].add(run_s)


def exposed(models: Mapping[tuple[str, str], ModelMetrics]) -> str:
    """All metrics, by name and version of their model."""
    labelled = {
        _labels(model=name, version=version): one for (name, version), one in models.items()
    }
    lines = _head("requests_total", "counter", "Requests by the status of their answer.")
    for labels, one in labelled.items():
        for code, count in sorted(one.answered.items()):
            lines.append(f'edgetvm_requests_total{{{labels},code="{code}"}} {count}')
    lines += _head("failures_total", "counter", "Requests that were not answered as they wished.")
    for labels, one in labelled.items():
        failed = sum(count for code, count in one.answered.items() if code >= 400)
        lines.append(f"edgetvm_failures_total{{{labels}}} {failed}")
    for key, words in _HISTOGRAMS.items():
        lines += _head(f"{key}_seconds", "histogram", words)
        for labels, one in labelled.items():
            lines += one.seconds[key].lines(f"edgetvm_{key}_seconds", labels)
    lines += _head("in_flight", "gauge", "Requests that have no answer yet.")
    lines += [f"edgetvm_in_flight{{{labels}}} {one.in_flight}" for labels, one in labelled.items()]
    lines += _head("waiting", "gauge", "Requests that wait for an executor.")
    lines += [f"edgetvm_waiting{{{labels}}} {one.waiting()}" for labels, one in labelled.items()]
    lines += _head("listeners", "gauge", "Live listeners.")
    lines += [f"edgetvm_listeners{{{labels}}} {one.listeners}" for labels, one in labelled.items()]
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP edgetvm_{name} {words}", f"# TYPE edgetvm_{name} {kind}"]


def _labels(**values: str) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return ",".join(f'{key}="{escaped(value)}"' for key, value in values.items())
