"""How far estimates can be trusted: `python -m benchmarks.estimates`.

Kernels of our own compiler, for AVX2, are estimated and measured on this machine: default
schedules, others of the same rules and plain loops; float32 and int8; bound by computing and by
memory. What a cache miss costs, and a cycle of LLVM's table, is fitted to kernels of some models;
every figure is of the kernels of others, and of those that do not keep vectors on the stack, which
is flagged and not priced. Native times are the least of many short runs in several processes;
cycles are theirs by the clock of a chain of additions in the same process.

It ends with `result: kernels=… spearman=… error_factor=… pairs_right_pct=… s_per_kernel=…`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.estimates.kernels import FITTED, HELD_OUT, Kernel, kernels
from benchmarks.estimates.models import MODELS, whole
from benchmarks.estimates.scatter import Dot, picture
from benchmarks.estimates.truth import Truth, truths
from edgetvm.boards.core import CoreModel, MissCost
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.estimate.calibration import Fit, Point, error_factor, fitted
from edgetvm.estimate.estimating import watch_kernel
from edgetvm.estimate.kernels import CallCost
from edgetvm.estimate.memory import cycles_with_memory
from edgetvm.estimate.spills import HOT_SHARE
from edgetvm.estimate.trace import Misses

_RESULTS = Path(__file__).resolve().parent.parent / "results"
# LLVM has no table of Zen 5: its `znver5` is that of Zen 4. Of what it has, that of Sapphire
# Rapids, whose core is as wide and looks as far ahead, prices the fitted kernels best.
_CORE = CoreModel(
    emulated="max",
    llvm="sapphirerapids",
    dispatch=8,
    l1d_ways=12,
    l2_ways=16,
    l3_ways=16,
    # Of memory no kernel of the set tells: a stream of 256 MB came at 14.8 GB/s.
    misses=(MissCost(2, 1), MissCost(8, 2), MissCost(100, 18)),
    error=1.2,
    source="AMD's Software Optimization Guide for Zen 5",
)
_APART = 1.1


@dataclass(frozen=True)
class Estimated:
    """A kernel, estimated and measured."""

    kernel: Kernel
    cost: CallCost
    misses: tuple[Misses, ...]
    truth: Truth
    took_s: float

    @property
    def is_spilled(self) -> bool:
        """Flagged, and not priced."""
        return self.cost.spilled > HOT_SHARE

    def cycles(self, fit: Fit) -> float:
        """Estimated, with what was fitted."""
        return cycles_with_memory(self.cost.core_cycles, self.misses, fit.core) / fit.clock


def _profile() -> BoardProfile:
    """Code for AVX2, which QEMU runs, in this machine's caches."""
    cache = load_profile("local").cache
    # Others use level 3 too: a stream of 24 MB comes half as fast as one of 8 MB.
    cache = dataclasses.replace(cache, l3_bytes=cache.l3_bytes // 2)
    return dataclasses.replace(load_profile("x86-avx2"), cores=1, cache=cache, core=_CORE)


def _estimated(kernel: Kernel, profile: BoardProfile, truth: Truth) -> Estimated:
    began_s = time.monotonic()
    cost, misses = watch_kernel(kernel.program, profile)
    return Estimated(kernel, cost, misses, truth, time.monotonic() - began_s)


def _points(found: Sequence[Estimated]) -> list[Point]:
    """At 1 GHz: a cycle is a nanosecond."""
    return [
        Point(one.kernel.name, one.cost.core_cycles, one.misses, one.truth.cycles / 1e6)
        for one in found
    ]


def _figures(found: Sequence[Estimated], fit: Fit) -> dict[str, float]:
    from scipy.stats import spearmanr

    pairs = [(one.cycles(fit), one.truth.cycles) for one in found]
    right = [
        (mine > other) == (truth > true)
        for at, (mine, truth) in enumerate(pairs)
        for other, true in pairs[:at]
        if max(truth, true) > _APART * min(truth, true)
    ]
    return {
        "kernels": len(pairs),
        "spearman": float(spearmanr(*zip(*pairs, strict=True)).statistic),
        "error_factor": error_factor([math.log(mine / truth) for mine, truth in pairs]),
        "pairs_right_pct": 100 * sum(right) / max(1, len(right)),
    }


def _options() -> argparse.Namespace:
    from edgetvm.base.paths import cache_folder

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimates", description=(__doc__ or "").splitlines()[0]
    )
    folder = cache_folder() / "benchmarks" / "estimates-unchecked"
    parser.add_argument("--folder", type=Path, default=folder, help="keep kernels here")
    parser.add_argument("--rounds", type=int, default=3, help="of measuring, beside those kept")
    parser.add_argument(
        "--models",
        type=lambda text: [word for word in text.split(",") if word],
        default=list(MODELS),
        metavar="A,B",
        help="compare whole models",
    )
    parser.add_argument("--json", type=Path, default=_RESULTS / "estimates.json", metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the scatter")
    return parser.parse_args()


def main() -> None:
    """Measure, estimate, fit, print, and end with the result line."""
    options, profile = _options(), _profile()
    all_kernels = kernels(profile, options.folder)
    named = [(one.name, one.program) for one in all_kernels]
    known = truths(named, options.folder / "truth.json", options.rounds)
    found = [_estimated(one, profile, known[one.name]) for one in all_kernels]
    priced = [one for one in found if not one.is_spilled]
    known_ones = [one for one in priced if not one.kernel.held_out]
    judged = [one for one in priced if one.kernel.held_out]
    fit = fitted(_points(known_ones), _CORE, 1000)
    for one in sorted(found, key=lambda one: one.cycles(fit) / one.truth.cycles):
        print(_line(one, fit))
    print(
        f"fitted on {len(known_ones)} kernels of {', '.join(FITTED)}; judged: {', '.join(HELD_OUT)}"
    )
    print(f"a cycle of the table is {1 / fit.clock:.3f} of this core")
    print("cycles a miss:", *(f"{one.random:.2f}/{one.foreseen:.2f}" for one in fit.core.misses))
    print("fitted kernels:", _told(_figures(known_ones, fit)))
    figures = _figures(judged, fit)
    figures["s_per_kernel"] = sum(one.took_s for one in found) / len(found)
    if options.models:
        figures["models_error"] = _models(options, profile, fit)
    _write(options, found, figures, fit)
    print(f"result: {_told(figures)}")


def _models(options: argparse.Namespace, profile: BoardProfile, fit: Fit) -> float:
    """The typical error of whole models."""
    logarithms = []
    for name in options.models:
        found = whole(name, profile, fit, options.folder / "models.json", options.rounds)
        ratio = found.estimated / found.measured
        print(
            f"{ratio:5.2f} {found.measured:12.0f} {found.estimated:12.0f} model {name}, runs "
            f"{found.run / found.measured:.2f} of its kernels, {found.spilled} of them spill"
        )
        logarithms.append(math.log(ratio))
    return error_factor(logarithms)


def _line(one: Estimated, fit: Fit) -> str:
    estimated, truth = one.cycles(fit), one.truth.cycles
    share = 1 - one.cost.core_cycles / fit.clock / estimated
    spills = " spills" if one.is_spilled else ""
    set_ = "held out" if one.kernel.held_out else "fitted"
    return (
        f"{estimated / truth:5.2f} {truth:12.0f} {estimated:12.0f} {share:5.0%} {set_:8} "
        f"{one.kernel.name}{spills}"
    )


def _told(figures: dict[str, float]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in figures.items())


def _write(
    options: argparse.Namespace,
    found: Sequence[Estimated],
    figures: dict[str, float],
    fit: Fit,
) -> None:
    document: dict[str, Any] = {
        "what": "estimated and measured cycles on this machine",
        "figures": figures,
        "clock": fit.clock,
        "costs": [dataclasses.asdict(one) for one in fit.core.misses],
        "load": os.getloadavg(),
        "kernels": [
            {
                "name": one.kernel.name,
                "held_out": one.kernel.held_out,
                "spilled": one.cost.spilled,
                "instructions": one.cost.instructions,
                "core_cycles": one.cost.core_cycles,
                "misses": [dataclasses.astuple(level) for level in one.misses],
                "estimated_cycles": one.cycles(fit),
                **dataclasses.asdict(one.truth),
            }
            for one in found
        ],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1))
    if options.picture is not None:
        dots = [
            Dot(one.kernel.name, one.truth.cycles, one.cycles(fit), _kind(one)) for one in found
        ]
        options.picture.write_text(picture(dots, "Estimated and measured cycles of kernels"))


def _kind(one: Estimated) -> str:
    if one.is_spilled:
        return "spills, not priced"
    return "held out" if one.kernel.held_out else "fitted"


if __name__ == "__main__":
    main()
