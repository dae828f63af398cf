"""Whole models: the sum of their kernels' estimates beside a run of them all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from benchmarks.estimates.truth import whole_truth
from benchmarks.latency.prepare import prepared
from benchmarks.latency.suite import chosen
from edgetvm.boards.profile import BoardProfile
from edgetvm.estimate.calibration import Fit
from edgetvm.estimate.estimating import estimate_model
from edgetvm.estimate.replaying import Program

# None of them is among those that costs are fitted to.
MODELS = ("ppocr-det", "squeezenet", "oww-embedding", "tiny-vww", "resnet18", "tiny-kws-int8")


@dataclass(frozen=True)
class Whole:
    """A model.

    Attributes:
        estimated: cycles of a run.
        measured: the same, of its kernels where each is least disturbed.
        run: the least of whole runs, which others on the machine make longer.
        spilled: how many of its kernels are flagged.
    """

    name: str
    estimated: float
    measured: float
    run: float
    spilled: int


def whole(name: str, profile: BoardProfile, fit: Fit, file: Path, rounds: int) -> Whole:
    """Estimate a model, and measure it so many times; times are kept in the file."""
    from edgetvm.base.paths import cache_folder
    from edgetvm.compile.options import DEFAULTS
    from edgetvm.compile.tuned import UNTUNED
    from edgetvm.models import import_model
    from edgetvm.workflow.estimating import code_of

    (entry,) = chosen([name])
    model = import_model(prepared(entry, cache_folder() / "benchmarks").file)
    code = code_of(model, profile, UNTUNED, DEFAULTS)
    found = estimate_model(code, dataclasses.replace(profile, core=fit.core))
    truth = whole_truth(Program(code.library, code.content), file, rounds)
    estimated = found.whole.cost.cycles / fit.clock
    return Whole(name, estimated, truth.cycles, truth.run, len(found.spilled))
