"""What a run found: records, ratios, and the result line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.latency.case import Timings
from benchmarks.latency.engines import ENGINES, PEERS
from benchmarks.latency.figures import Latency, geometric_mean, latency, worst
from benchmarks.latency.machine import Roof
from benchmarks.latency.rounds import Turns
from edgetvm.measure.peers.case import Case


@dataclass(frozen=True)
class Result:
    """One setting of an engine on one model.

    Attributes:
        latency: None where there is none that counts; `why` says why.
        disturbed: whether its samples come from turns in which something else ran.
    """

    engine: str
    setting: str
    latency: Latency | None
    error: float | None
    why: str
    disturbed: bool
    facts: dict[str, Any]
    samples_ns: list[int]


def result_of(timings: Timings) -> Result:
    """The figures of one worker."""
    task = timings.task
    disturbed = not timings.samples_ns and bool(timings.disturbed_ns)
    samples = timings.samples_ns or timings.disturbed_ns
    found = latency(samples) if samples and not timings.why else None
    return Result(
        task.engine,
        task.setting,
        found,
        timings.error,
        timings.why,
        disturbed,
        timings.facts,
        samples,
    )


def wrong_answer(error: float) -> str:
    """The reason why an engine is not timed."""
    return f"wrong answer: off by {error:.2g} of the spread of what is expected"


@dataclass(frozen=True)
class Row:
    """All engines on one model with one number of threads."""

    model: str
    kind: str
    format: str
    threads: int
    results: tuple[Result, ...]
    turns: Turns = field(default_factory=Turns)
    peak_gflops: float = math.nan

    def best(self, engine: str) -> Result | None:
        """The engine's fastest setting by median."""
        timed = [one for one in self.results if one.engine == engine and one.latency]
        return min(timed, key=_median_ms, default=None)

    @property
    def fastest_peer(self) -> Result | None:
        """The fastest of the peers' settings."""
        timed = [one for name in PEERS if (one := self.best(name))]
        return min(timed, key=_median_ms, default=None)

    def ratio(self, engine: str) -> float | None:
        """Median over the fastest peer's.

        None where no peer answers or the engine was not asked; infinite where it was and failed.
        """
        peer = self.fastest_peer
        asked = any(one.engine == engine for one in self.results)
        if peer is None or not asked:
            return None
        own = self.best(engine)
        return _median_ms(own) / _median_ms(peer) if own else math.inf

    @property
    def multiply_adds(self) -> int | None:
        """Of one run, where edgetvm read the model."""
        counts = (one.facts.get("multiply_adds") for one in self.results)
        return next((count for count in counts if count), None)


def _median_ms(result: Result) -> float:
    return result.latency.median_ms if result.latency else math.inf


def row(case: Case, threads: int, timings: Iterable[Timings], turns: Turns, peak: float) -> Row:
    """One row of the tables; engines in the tables' order."""
    order = {engine.name: index for index, engine in enumerate(ENGINES)}
    results = sorted(map(result_of, timings), key=lambda one: order[one.engine])
    return Row(case.name, case.kind, case.format, threads, tuple(results), turns, peak)


def _ratios(rows: Iterable[Row], engine: str, kind: str) -> list[float]:
    found = (one.ratio(engine) for one in rows if one.kind == kind)
    return [ratio for ratio in found if ratio is not None]


def summary(rows: list[Row]) -> dict[str, float]:
    """The figures of the result line, in its order."""
    fp32, int8 = (_ratios(rows, "edgetvm", kind) for kind in ("fp32", "int8"))
    return {
        "geomean_untuned_fp32": geometric_mean(fp32),
        "worst_untuned_fp32": worst(fp32),
        "geomean_untuned_int8": geometric_mean(int8),
        "worst_untuned_int8": worst(int8),
        "geomean_tuned_fp32": geometric_mean(_ratios(rows, "edgetvm-tuned", "fp32")),
    }


def line(figures: dict[str, float]) -> str:
    """`name=value` pairs."""
    return " ".join(f"{name}={value:.3f}" for name, value in figures.items())


def as_json(rows: list[Row], facts: dict[str, Any], roofs: list[Roof]) -> dict[str, Any]:
    """Everything, for a file. What is no number for JSON is text."""
    made = {
        **facts,
        "roofs": [asdict(roof) for roof in roofs],
        "rows": [
            {
                **asdict(one),
                "multiply_adds": one.multiply_adds,
                "fastest_peer": one.fastest_peer.engine if one.fastest_peer else None,
                "ratio": one.ratio("edgetvm"),
                "tuned_ratio": one.ratio("edgetvm-tuned"),
            }
            for one in rows
        ],
        "summary": {
            "all": summary(rows),
            **{
                f"threads={threads}": summary([one for one in rows if one.threads == threads])
                for threads in sorted({one.threads for one in rows})
            },
        },
    }
    return {name: _plain(value) for name, value in made.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
