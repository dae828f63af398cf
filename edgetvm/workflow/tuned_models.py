"""Whole models on a board: the layout that is fastest, and whether what was tuned is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from edgetvm.base.errors import NumericError
from edgetvm.base.steps import note, step, warn
from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, LAYOUTS, CompileOptions
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import BoardSession, connect
from edgetvm.measure.deployment import deploy
from edgetvm.models.model import Model
from edgetvm.package.archive import Package
from edgetvm.tune.choosing import MARGIN
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.tuning import conditions_of
from edgetvm.tune.verdicts import Fate, Tuned, TunedKernel
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import Subject

# Of the comparison of whole models: turns, runs in each, and seconds that those may take; the first
# runs of a turn find cold caches.
_TURNS = 5
_RUNS = 200
_TURN_S = 0.5
_WARM = 5
# What is slower than the fastest by this much is out: no turn more makes up for it.
_HOPELESS = 1.15


@dataclass(frozen=True)
class Outcome:
    """What tuning a model came to.

    Attributes:
        tuned: the trials and what is taken of them.
        default_ms, tuned_ms: median latency of the whole model, compared in turns on one board.
        estimated: whether all of it was estimated, and nothing measured.
    """

    tuned: Tuned
    default_ms: float
    tuned_ms: float
    estimated: bool = False

    @property
    def has_gained(self) -> bool:
        """Whether the model is faster with what is taken now."""
        return self.tuned_ms < self.default_ms


def choose_layout(
    subject: Subject,
    board: Board,
    database: TuningDatabase,
    options: CompileOptions = DEFAULTS,
    model: Model | None = None,
) -> None:
    """Measure the model, untuned, in each layout, and keep which is the fastest, once and for all.

    What a layout gains in one kernel it may lose in the transposes around it: whole models are
    compared. A model whose layout is forced, or that has no image in it, is left alone.

    Args:
        subject: to be tuned.
        board: whose server is up.
        database: for what is found.
        options: how the model is compiled.
        model: as the subject loads it, where that is known already.

    Raises:
        ModelError, CompileError, NumericError: the model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    if options.layout != "auto" or options.level.rules != "all":
        return
    plain = build(subject, profile, options=options, model=model).package
    sha256 = plain.manifest.provenance.sha256
    has_images = any(one.layout for one in plain.manifest.targets[0].kernels)
    if sha256 in database.layouts(conditions) or not has_images:
        return
    with step("compare layouts") as this, connect(board) as session:
        packages = {"auto": plain}
        for layout in LAYOUTS:
            if layout not in packages:
                forced = replace(options, layout=layout)
                with contextlib.suppress(NumericError):
                    packages[layout] = build(subject, profile, options=forced, model=model).package
        times_ms = dict(zip(packages, _p50_ms(session, list(packages.values())), strict=True))
        best = min(LAYOUTS, key=lambda one: times_ms.get(one, math.inf))
        gain = times_ms["auto"] / times_ms[best]
        chosen = best if gain > 1 / MARGIN else "auto"
        database.choose_layout(conditions, sha256, chosen, gain if chosen == best else 1.0)
        told = ", ".join(f"{one} {ms:.4g} ms" for one, ms in times_ms.items())
        this.detail = f"{told}: {chosen} is taken"


def confirm(
    subject: Subject,
    board: Board,
    database: TuningDatabase,
    tuned: Tuned,
    options: CompileOptions = DEFAULTS,
    model: Model | None = None,
) -> Outcome:
    """Compare the whole model, tuned and untuned, in turns on a board.

    A kernel that wins by itself may lose inside the model. Where the tuned model is not faster, or
    its answers are wrong, the verdicts that save least are taken back, half of them at a time, and
    a layout at last.

    Args:
        subject: that was tuned.
        board: whose server is up.
        database: with the verdicts.
        tuned: of `tune_model`.
        options: how the model is compiled.
        model: as the subject loads it, where that is known already.

    Raises:
        ModelError, CompileError, NumericError: the untuned model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    plain = build(subject, profile, options=options, model=model).package
    sha256 = plain.manifest.provenance.sha256
    kept = sorted((one for one in tuned.kernels if one.saved_ms > 0), key=lambda one: -one.saved_ms)
    with step("compare the whole model") as this, connect(board) as session:
        schedules = database.schedules(conditions)
        while kept or sha256 in schedules.layouts:
            try:
                package = build(subject, profile, schedules, options=options, model=model)
                default_ms, tuned_ms = _p50_ms(session, [plain, package.package])
            except NumericError as error:
                warn(f"tuned, its answers are wrong: {error.what}")
            else:
                if tuned_ms < default_ms:
                    break
                note(
                    f"with what won, the whole model takes {tuned_ms:.4g} ms, without "
                    f"{default_ms:.4g} ms: what saves least is taken back"
                )
            if not kept:
                database.choose_layout(conditions, sha256, "auto", 1.0)
            kept, dropped = kept[: len(kept) // 2], kept[len(kept) // 2 :]
            for one in dropped:
                database.decide(conditions, one.key, None, 1.0)
            schedules = database.schedules(conditions)
        else:
            default_ms = tuned_ms = _p50_ms(session, [plain])[0]
        this.detail = (
            f"{default_ms:.4g} ms, tuned {tuned_ms:.4g} ms"
            if tuned_ms < default_ms
            else f"{default_ms:.4g} ms; nothing is faster than the defaults"
        )
    still = {one.key for one in kept}
    kernels = tuple(one if one.key in still else _taken_back(one) for one in tuned.kernels)
    return Outcome(replace(tuned, kernels=kernels), default_ms, tuned_ms)


def _taken_back(kernel: TunedKernel) -> TunedKernel:
    """It keeps its default schedule after all."""
    back: Fate = "taken back: the whole model was no faster with it"
    fates = tuple(back if fate == "taken" else fate for fate in kernel.fates)
    return replace(kernel, best_ms=kernel.default_ms, fates=fates)


def _p50_ms(session: BoardSession, packages: Sequence[Package]) -> list[float]:
    """The median latency of each, opened anew in turns; of those without hope by fewer turns than
    of the first and the others."""
    runs: list[list[float]] = [[] for _ in packages]
    for package in packages:
        deploy(session, package)
    going = list(range(len(packages)))
    for _ in range(_TURNS):
        for at in going:
            session.open(packages[at].data, None)
            times_ms = session.time_runs(_RUNS, _TURN_S) / 1e6
            runs[at].extend(times_ms[min(_WARM, len(times_ms) // 2) :])
        going = _with_hope(going, [median(mine) for mine in runs])
    return [median(mine) for mine in runs]


def _with_hope(going: Sequence[int], p50_ms: Sequence[float]) -> list[int]:
    """The first, which all are compared with, and those that may still be the fastest."""
    limit_ms = _HOPELESS * min(p50_ms)
    return [at for at in going if at == 0 or p50_ms[at] < limit_ms]
