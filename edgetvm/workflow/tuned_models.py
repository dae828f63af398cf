"""Whether a whole model is faster with what was tuned, and what is taken back where it is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgetvm.base.errors import NumericError
from edgetvm.base.steps import note, step, warn
from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import BoardSession, connect
from edgetvm.models.model import Model
from edgetvm.package.archive import Package
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.records import Conditions
from edgetvm.tune.tuning import conditions_of
from edgetvm.tune.verdicts import Fate, Tuned, TunedKernel
from edgetvm.workflow.build import build
from edgetvm.workflow.racing import p50_ms
from edgetvm.workflow.subject import Subject


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


def confirm(
    subject: Subject,
    model: Model,
    board: Board,
    database: TuningDatabase,
    tuned: Tuned,
    options: CompileOptions = DEFAULTS,
) -> Outcome:
    """Compare the whole model, tuned and untuned, in turns on a board.

    A kernel that wins by itself may lose inside the model. Where the tuned model is not faster, or
    its answers are wrong, the verdicts that save least are taken back, half of them at a time, and
    a layout at last.

    Args:
        subject: that was tuned.
        model: as it loads it.
        board: whose server is up.
        database: with the verdicts.
        tuned: of `tune_model`.
        options: how the model is compiled.

    Raises:
        ModelError, CompileError, NumericError: the untuned model cannot be built, or is wrong.
        BoardError: the board failed.
    """
    profile = load_profile(board.profile)
    conditions = conditions_of(profile, options)
    plain = build(subject, profile, options=options, model=model).package
    sha256 = plain.manifest.provenance.sha256
    kept = sorted((one for one in tuned.kernels if one.saved_ms > 0), key=lambda one: -one.saved_ms)
    default_ms = tuned_ms = 0.0
    with step("compare the whole model") as this, connect(board) as session:
        while kept or database.layouts(conditions).get(sha256, "auto") != "auto":
            default_ms, tuned_ms = _compared(
                session,
                plain,
                lambda: (
                    build(
                        subject,
                        profile,
                        database.schedules(conditions),
                        options=options,
                        model=model,
                    ).package
                ),
            )
            if tuned_ms < default_ms:
                break
            kept = _least_taken_back(database, conditions, sha256, kept)
        else:
            default_ms = tuned_ms = default_ms or p50_ms(session, [plain])[0]
        this.detail = (
            f"{default_ms:.4g} ms, tuned {tuned_ms:.4g} ms"
            if tuned_ms < default_ms
            else f"{default_ms:.4g} ms; nothing is faster than the defaults"
        )
    still = {one.key for one in kept}
    kernels = tuple(one if one.key in still else _taken_back(one) for one in tuned.kernels)
    return Outcome(replace(tuned, kernels=kernels), default_ms, tuned_ms)


def _compared(
    session: BoardSession, plain: Package, made: Callable[[], Package]
) -> tuple[float, float]:
    """Latencies of a model untuned and tuned; says why where the tuned one has not won."""
    try:
        tuned = made()
    except NumericError as error:
        warn(f"tuned, its answers are wrong: {error.what}")
        return 0.0, math.inf
    default_ms, tuned_ms = p50_ms(session, [plain, tuned])
    if default_ms <= tuned_ms < math.inf:
        note(
            f"with what won, the whole model takes {tuned_ms:.4g} ms, without {default_ms:.4g} ms: "
            "what saves least is taken back"
        )
    return default_ms, tuned_ms


def _least_taken_back(
    database: TuningDatabase,
    conditions: Conditions,
    sha256: str,
    kept: Sequence[TunedKernel],
) -> list[TunedKernel]:
    """Take back half of what is kept, those that save least, or the layout; what is kept still."""
    if not kept:
        database.choose_layout(conditions, sha256, "auto", 1.0)
    for one in kept[len(kept) // 2 :]:
        database.decide(conditions, one.key, None, 1.0)
    return list(kept[: len(kept) // 2])


def _taken_back(kernel: TunedKernel) -> TunedKernel:
    """It keeps its default schedule after all."""
    back: Fate = "taken back: the whole model was no faster with it"
    fates = tuple(back if fate == "taken" else fate for fate in kernel.fates)
    return replace(kernel, best_ms=kernel.default_ms, fates=fates)
