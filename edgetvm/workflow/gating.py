"""A gate for CI: whether models are slower than a baseline on the same board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgetvm.base.errors import BoardError, ConfigurationError, EdgetvmError, UsageError
from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import Board
from edgetvm.measure.comparing import (
    LEAST_PROCESSES,
    Comparison,
    confirmed,
    holm,
    verdict,
)
from edgetvm.measure.judging import Judged, Outcome, told
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.processes import baseline_of, compare_processes, in_turns, undisturbed
from edgetvm.measure.store import Store
from edgetvm.models.importers import MODEL_SUFFIXES
from edgetvm.package.archive import Package
from edgetvm.workflow.comparing import Turn, at_work, check_real, measurer, package_of

# Of stored runs the last so many are a baseline, for each process that is measured now.
_STORED = 2
_UNDISTURBED = f"undisturbed, and a verdict needs {LEAST_PROCESSES}: leave the board idle"
# What the user must mend before anything can be measured.
_USAGE = (UsageError, ConfigurationError)


@dataclass(frozen=True)
class GatePlan:
    """How a gate judges.

    Attributes:
        max_regression: share by which a model may be slower: 0.03 for 3%.
        turn: how each process measures.
        baseline: of one model, run in turns with it; the last good stored runs without it.
    """

    max_regression: float = 0.03
    turn: Turn = field(default_factory=Turn)
    baseline: Package | None = None


@dataclass(frozen=True)
class _Run:
    """A model's processes, and how they compare with the baseline's.

    Attributes:
        why: there is no comparison; empty where there is one.
        begins: whether they are the first of a baseline to be.
    """

    taken: tuple[Measurement, ...]
    comparison: Comparison | None = None
    why: str = ""
    begins: bool = False


class _Model:
    """A model at the gate. It is compared once or twice."""

    def __init__(self, name: str, package: Package, board: Board, plan: GatePlan, store: Store):
        self.name, self.elapsed_s = name, 0.0
        self._board, self._plan, self._store = board.name, plan, store
        self._measure = measurer(board, package, plan.turn)
        self._baseline = (
            None if plan.baseline is None else measurer(board, plan.baseline, plan.turn)
        )

    def run(self) -> _Run | Judged:
        """Measure it, and its baseline where that is a package; what fails is its own affair."""
        began_s = time.monotonic()
        try:
            return self._compared()
        except EdgetvmError as error:
            return self.judged("error", str(error))
        finally:
            self.elapsed_s += time.monotonic() - began_s

    def _compared(self) -> _Run:
        processes = self._plan.turn.processes
        if self._baseline is not None:
            before, taken = in_turns([self._baseline, self._measure], processes)
        else:
            taken = undisturbed(self._measure, processes)
            before = baseline_of(self._store, taken[-1], _STORED * processes) if taken else ()
        if len(taken) < LEAST_PROCESSES:
            return _Run(taken, why=f"only {len(taken)} processes of it were {_UNDISTURBED}")
        if len(before) >= LEAST_PROCESSES:
            return _Run(taken, compare_processes(before, taken))
        return _Run(taken, why=_no_baseline(len(before)), begins=True)

    def judge(self, first: _Run, p: float) -> Judged:
        """What the first run says; where that is no pass, what a second one says, too.

        Args:
            p: of the first run, adjusted for all models.
        """
        limit = self._plan.max_regression
        if first.comparison is None:
            self._keep(first, first.begins)
            return self.judged("inconclusive", first.why)
        last, comparisons = first, [first.comparison]
        outcome = verdict(first.comparison, p, limit)
        if outcome != "pass":
            again = self.run()
            if isinstance(again, Judged):
                return again
            if again.comparison is None:
                return self.judged("inconclusive", again.why, comparisons)
            outcome = confirmed(outcome, verdict(again.comparison, again.comparison.p, limit))
            last = again
            comparisons.append(again.comparison)
        self._keep(last, outcome == "pass")
        return self.judged(outcome, told(outcome, comparisons, limit), comparisons)

    def judged(self, outcome: Outcome, why: str, comparisons: Sequence[Comparison] = ()) -> Judged:
        """The end of it."""
        return Judged(self.name, self._board, outcome, why, tuple(comparisons), self.elapsed_s)

    def _keep(self, run: _Run, good: bool) -> None:
        for measurement in run.taken if good else ():
            self._store.save(measurement)


def _no_baseline(count: int) -> str:
    return (
        f"{count} good runs of it are stored for this board, governor and threads, and a baseline "
        f"needs {LEAST_PROCESSES}: those of this gate are kept for the next"
    )


def gate(
    names: Sequence[str],
    board: Board,
    plan: GatePlan | None = None,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
    *,
    wait_s: float = WAIT_S,
    store: Store | None = None,
) -> list[Judged]:
    """Judge models on a board.

    A regression is one only where the interval of the ratio of medians lies beyond what is
    allowed, the rank test (by Holm over all models) agrees, and a second run says the same. The
    processes of models that pass are kept, and are the next gate's baseline, and so are the first
    ones of a model that has none yet; those of others are not.

    Args:
        names: of models, recipes or package files.
        board: a real one.
        wait_s: for a board of a farm that somebody else has.
        store: the user's without it.

    Raises:
        UsageError: an emulated board, too few processes, or a baseline package for several models,
            or no such file.
        ConfigurationError: a name, recipe or profile is wrong.
    """
    plan, store = plan or GatePlan(), store or Store()
    _check(names, plan)
    check_real(board)
    judged: dict[str, Judged] = {}
    packages: dict[str, Package] = {}
    for name in dict.fromkeys(names):
        try:
            packages[name] = package_of(name, load_profile(board.profile), tuned, options)
        except _USAGE:
            raise
        except EdgetvmError as error:
            judged[name] = Judged(name, board.name, "error", str(error))
    if not packages:
        return list(judged.values())
    try:
        with at_work(board, wait_s, f"gate {' '.join(names)}") as up:
            models = [_Model(name, one, up, plan, store) for name, one in packages.items()]
            judged |= {one.model: one for one in _judged(models)}
    except BoardError as error:
        judged |= {name: Judged(name, board.name, "error", str(error)) for name in packages}
    return [judged[name] for name in dict.fromkeys(names)]


def _check(names: Sequence[str], plan: GatePlan) -> None:
    if plan.turn.processes < LEAST_PROCESSES:
        raise UsageError(
            f"{plan.turn.processes} processes cannot tell a regression",
            where="--processes",
            mend=f"at least {LEAST_PROCESSES}",
        )
    for name in names:
        if Path(name).suffix in (".edgetvm", *MODEL_SUFFIXES) and not Path(name).exists():
            raise UsageError("no such file", where=name, mend="check the path")
    if plan.baseline is not None and len(set(names)) > 1:
        raise UsageError(
            "one package is no baseline of several models",
            where="--baseline",
            mend="run the gate once for each model",
        )


def _judged(models: Sequence[_Model]) -> Iterator[Judged]:
    """All are run once before any is judged: Holm's p of each depends on that of all."""
    firsts: list[tuple[_Model, _Run]] = []
    for model in models:
        run = model.run()
        if isinstance(run, Judged):
            yield run
        else:
            firsts.append((model, run))
    # What could not be compared has no part in the correction.
    p_values = [run.comparison.p for _, run in firsts if run.comparison is not None]
    adjusted = iter(holm(p_values))
    for model, run in firsts:
        yield model.judge(run, next(adjusted) if run.comparison is not None else 1.0)
