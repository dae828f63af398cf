"""What a run found: records, ratios to the best peer, and the result line. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.latency.figures import geometric_mean, worst
from edgetvm.measure.peers.answers import TOLERANCE
from edgetvm.measure.peers.case import Case

EDGETVM = "edgetvm"
MEASURES = ("instructions", "cycles")


@dataclass
class Result:
    """One setting of an engine on one model, on one emulated core.

    Attributes:
        instructions: of one inference; None where it has none that counts; `why` says why.
        cycles: estimated; None where the core has no model to ask.
        error: how far its answers lie from the expected ones.
    """

    engine: str
    setting: str = ""
    instructions: int | None = None
    cycles: float | None = None
    error: float | None = None
    why: str = ""

    @property
    def title(self) -> str:
        """Its name in reports."""
        return f"{self.engine} ({self.setting})" if self.setting else self.engine

    def figure(self, measure: str) -> float | None:
        """Its instructions or its estimated cycles."""
        value: float | None = getattr(self, measure)
        return value


@dataclass
class Row:
    """One model on one board."""

    model: str
    kind: str
    board: str
    multiply_adds: int
    results: list[Result] = field(default_factory=list)

    @property
    def mine(self) -> Result | None:
        """edgetvm's."""
        return next((one for one in self.results if one.engine == EDGETVM), None)

    def best_peer(self, measure: str) -> Result | None:
        """The peer with the smallest figure."""
        peers = [one for one in self.results if one.engine != EDGETVM]
        known = [one for one in peers if one.figure(measure) is not None]
        return min(known, key=lambda one: one.figure(measure) or math.inf, default=None)

    def ratio(self, measure: str) -> float | None:
        """edgetvm's figure over the best peer's; infinite where edgetvm failed beside a peer."""
        peer = self.best_peer(measure)
        theirs = peer.figure(measure) if peer else None
        if theirs is None:
            return None
        ours = self.mine.figure(measure) if self.mine else None
        return math.inf if ours is None else ours / theirs


def judged(result: Result, case: Case) -> Result:
    """The result, without figures where its answers are wrong."""
    if result.error is not None and result.error > TOLERANCE[case.kind]:
        result.why = f"wrong answers: off by {result.error:.2g}"
        result.instructions = result.cycles = None
    return result


def summary(rows: Iterable[Row]) -> dict[str, float]:
    """Geometric mean and worst ratio of each measure, board and kind that there is."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        for measure in MEASURES:
            ratio = row.ratio(measure)
            if ratio is not None:
                ratios.setdefault(f"{measure}_{row.board}_{row.kind}", []).append(ratio)
    found = {}
    for name, values in ratios.items():
        found[f"geomean_{name}"] = geometric_mean(values)
        found[f"worst_{name}"] = worst(values)
    return found


def line(figures: dict[str, float]) -> str:
    """The figures of the result line."""
    return " ".join(f"{name}={value:.3f}" for name, value in figures.items())


def as_json(rows: list[Row], facts: dict[str, Any]) -> dict[str, Any]:
    """All that was found."""
    return {
        "what": "instructions executed under QEMU; cycles are estimates, never times",
        "facts": facts,
        "summary": summary(rows),
        "rows": [
            {**asdict(row), "ratios": {name: row.ratio(name) for name in MEASURES}} for row in rows
        ],
    }


_WIDTH = 21


def heading() -> str:
    """Above the table."""
    names = ["edgetvm", "onnxruntime", "litert", "ncnn"]
    return (
        "Millions of instructions executed under QEMU | of cycles, estimated;"
        " * the best peer\n"
        f"{'':28}{'MMAC':>8}" + "".join(f"{name:>{_WIDTH}}" for name in names) + f"{'ratios':>15}"
    )


def text(row: Row) -> str:
    """One line of the table; each engine's best setting."""
    best = row.best_peer("instructions")
    cells = []
    for engine in (EDGETVM, "onnxruntime", "litert", "ncnn"):
        known = [one for one in row.results if one.engine == engine and one.instructions]
        if not known:
            cells.append("-")
            continue
        one = min(known, key=lambda one: one.instructions or 0)
        star = "*" if one is best else ""
        cycles = f"{one.cycles / 1e6:9.3f}" if one.cycles else ""
        cells.append(f"{star}{(one.instructions or 0) / 1e6:.3f}" + (cycles and f" |{cycles}"))
    ratios = [row.ratio(measure) for measure in MEASURES]
    shown = " ".join("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
    name = f"{row.board:6}{row.model}"
    return (
        f"{name:28}{row.multiply_adds / 1e6:8.2f}"
        + "".join(f"{cell:>{_WIDTH}}" for cell in cells)
        + f"{shown:>15}"
    )
