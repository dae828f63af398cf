"""The layout in which a whole model is fastest on a board."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

from edgetvm.base.errors import NumericError
from edgetvm.base.steps import Step, step, unheard
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import DEFAULTS, LAYOUTS, CompileOptions, Layout
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import connect
from edgetvm.models.model import Model
from edgetvm.package.archive import Package
from edgetvm.tune.choosing import MARGIN
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.tuning import conditions_of
from edgetvm.workflow.build import build
from edgetvm.workflow.building_ahead import built_ahead
from edgetvm.workflow.racing import p50_ms
from edgetvm.workflow.subject import Subject

# Axes of a batch of images.
_IMAGES = 4


def choose_layout(
    subject: Subject,
    model: Model,
    board: Board,
    database: TuningDatabase,
    options: CompileOptions = DEFAULTS,
) -> None:
    """Measure the model, untuned, in each layout, and keep which is the fastest, once and for all.

    What a layout gains in one kernel it may lose in the transposes around it: whole models are
    compared. A model whose layout is forced, or that has no image in it, is left alone.

    Args:
        subject: to be tuned.
        model: as it loads it.
        board: whose server is up.
        database: for what is found.
        options: how the model is compiled.

    Raises:
        ModelError, CompileError, NumericError: the model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    if options.layout != "auto" or options.level.rules != "all":
        return
    sha256 = model.provenance.sha256
    if sha256 in database.layouts(conditions):
        return
    with step("compare layouts") as this:
        packages = _in_each(subject, model, profile, options, this)
        if len(packages) == 1:
            this.detail = "it has no images"
            return
        with connect(board) as session:
            found_ms = p50_ms(session, list(packages.values()), needed=MARGIN)
        times_ms = dict(zip(packages, found_ms, strict=True))
        best = min(LAYOUTS, key=lambda one: times_ms.get(one, math.inf))
        gain = times_ms["auto"] / times_ms[best]
        chosen = best if gain > 1 / MARGIN else "auto"
        database.choose_layout(conditions, sha256, chosen, gain if chosen == best else 1.0)
        told = ", ".join(f"{one} {ms:.4g} ms" for one, ms in times_ms.items() if ms < math.inf)
        this.detail = f"{told}: {chosen} is taken"


def _in_each(
    subject: Subject, model: Model, profile: BoardProfile, options: CompileOptions, this: Step
) -> dict[Layout, Package]:
    """The untuned packages by layout, `auto` first; that alone where no layout changes anything."""
    packages: dict[Layout, Package] = {}
    forced = [replace(options, layout=one) for one in LAYOUTS if one != "auto"]
    may_have = any(len(one.shape) == _IMAGES for one in model.signature.inputs)
    with built_ahead(subject, profile, forced if may_have else ()):
        packages["auto"] = build(subject, profile, options=options, model=model).package
        if not any(one.layout for one in packages["auto"].manifest.targets[0].kernels):
            return packages
        for at, one in enumerate(forced):
            this.advance(at + 1, len(forced), one.layout)
            with suppress(NumericError), unheard():
                built = build(subject, profile, options=one, model=model)
                packages[one.layout] = built.package
    return packages
