"""The comparison at a search's end: what looks fastest, in turns with the defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from statistics import median

from edgetvm.base.errors import MissingToolError
from edgetvm.base.steps import note
from edgetvm.farm.inventory import Board
from edgetvm.tune.allocation import TaskState, default_choice
from edgetvm.tune.asked import Search
from edgetvm.tune.board_threads import all_gone, undisturbed
from edgetvm.tune.building import Builder, BuildJob, Built
from edgetvm.tune.candidates import build_failure
from edgetvm.tune.choosing import MARGIN
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.jobs import Loadable, Ran, RunJob, Tensor
from edgetvm.tune.records import Outcome, Trial
from edgetvm.tune.running import Runner
from edgetvm.tune.space import candidate_of
from edgetvm.tune.verdicts import Fate

# In a final comparison: candidates of a task, turns with the default (what loses in the first few
# gets no more), boards that must agree, and the factor between their gains at which one more is
# asked.
_FINALISTS = 2
# Repetitions that decide are so many times as long as those of a trial.
_LONGER = 2
_ROUNDS = (2, 6)
_JUDGES = 2
_APART = 1.1
# Answers that differ by more than this part of the largest value are wrong.
_WRONG = 1e-3


class Judges:
    """The boards that compare: the first ones, and the next where one of these is lost."""

    def __init__(self, runners: Sequence[Runner], builder: Builder) -> None:
        self._runners, self._builder = list(runners), builder
        self._names = ", ".join(one.board.name for one in runners)

    @property
    def boards(self) -> tuple[Board, ...]:
        """Those that were not lost."""
        return tuple(one.board for one in self._runners)

    def answers(self, job: RunJob) -> list[Ran]:
        """What each found, up to the first that found a failure; of one more where they disagree.

        Raises:
            BoardGoneError: all are lost.
        """
        found: list[Ran] = []
        for runner in list(self._runners):
            ran = self._asked(runner, job)
            if ran.outcome == "board lost":
                self._runners.remove(runner)
                runner.close()
                continue
            found.append(ran)
            if ran.outcome != "ok" or len(found) > _JUDGES:
                return found
            if len(found) == _JUDGES and not _lie_apart(list(map(_gain_in, found))):
                return found
        if not found:
            raise all_gone(self._names)
        return found

    def _asked(self, runner: Runner, job: RunJob) -> Ran:
        ran = undisturbed(runner, job, self._builder)
        if ran.outcome == "board lost" and ran.begun:
            ran = undisturbed(runner, job, self._builder)  # its server was started anew
        if ran.outcome == "ok" and ran.error_ratio > _WRONG:
            return replace(ran, outcome="wrong result", error=f"off by {ran.error_ratio:.2g}")
        return ran


@dataclass(frozen=True)
class Finalist:
    """A candidate of the final comparison; not built where its form is not known any more."""

    number: int
    trial: Trial
    arguments: tuple[Tensor, ...]
    building: Future[Built] | None


class Final:
    """The candidates that look fastest, compared with the defaults in turns."""

    def __init__(
        self,
        search: Search,
        database: TuningDatabase,
        builder: Builder,
        run: int,
        judges: Judges,
    ) -> None:
        self._search, self._database, self._builder, self._run = search, database, builder, run
        self._judges = judges
        self._how = replace(search.how, least_ms=_LONGER * search.how.least_ms)
        self.gains: dict[str, float] = {}
        # By task: of the candidates that look faster.
        self.fates: dict[str, list[Fate]] = {}

    def compare(
        self, states: Iterable[TaskState], advance: Callable[[int, int, str], None]
    ) -> None:
        """Keep a verdict for each task whose trials are newer than its last one."""
        known = self._database.verdicts(self._search.conditions)
        worth = []
        for state in states:
            trials = self._database.numbered(self._search.conditions, state.task.key)
            winner, gain, through = known.get(state.task.key, (None, 1.0, 0))
            if state.has_default and any(number > through for number, _ in trials):
                # All of them at once: builders work while others are compared.
                promising = _promising(trials, winner)
                most = _FINALISTS + (winner is not None)
                finalists = [self._built(state, *one) for one in promising[:most]]
                self.fates[state.task.key] = [_LEFT_OUT] * len(promising[most:])
                default = self._default(state) if finalists else None
                worth.append((state, default, finalists, max(number for number, _ in trials)))
            self.gains[state.task.key] = gain
        for at, (state, default, finalists, last) in enumerate(worth):
            if default is not None:
                built = _loadable(default, state.task.form.arguments)
                state.default = built if isinstance(built, Loadable) else None
            self._decide(state, finalists, last)
            advance(at + 1, len(worth), state.task.name)

    def _default(self, state: TaskState) -> Future[Built] | None:
        """What the search has not built: it made no trial of this task, a killed one did."""
        if state.default is not None:
            return None
        search, form = self._search, state.task.form
        job = BuildJob(form.kernel, default_choice(form), search.profile, search.options)
        return self._builder.submit(job)

    def _built(self, state: TaskState, number: int, trial: Trial) -> Finalist:
        form = state.forms.get(trial.workload)
        if form is None:
            return Finalist(number, trial, (), None)
        search = self._search
        job = BuildJob(form.kernel, trial.choice, search.profile, search.options)
        return Finalist(number, trial, form.arguments, self._builder.submit(job))

    def _decide(self, state: TaskState, finalists: Sequence[Finalist], last: int) -> None:
        gains = [(one.number, self._gain(state, one)) for one in finalists]
        best, gain = None, 1.0
        for number, found in gains:
            if found is not None and found > max(gain, 1 / MARGIN):
                best, gain = number, found
        self._database.decide(self._search.conditions, state.task.key, best, gain, last)
        self.gains[state.task.key] = gain
        self.fates[state.task.key] += [_fate(found, number == best) for number, found in gains]

    def _gain(self, state: TaskState, finalist: Finalist) -> float | None:
        """Of the default's latency over the candidate's, as the boards agree on it; None where it
        failed or is wrong."""
        if finalist.building is None or state.default is None:
            return None
        candidate = _loadable(finalist.building, finalist.arguments)
        if isinstance(candidate, Exception):
            self._fail(finalist.trial, *build_failure(candidate))
            return None
        same = candidate.arguments == state.default.arguments
        gain = 0.0
        for rounds in _ROUNDS:
            compared = RunJob(
                state.default, candidate, self._how, rounds, same, default_ms=state.default_ms
            )
            answers = self._judges.answers(compared)
            if answers[-1].outcome != "ok":
                self._fail(finalist.trial, answers[-1].outcome, answers[-1].error)
                return None
            gain = self._agreed(state, [_gain_in(one) for one in answers])
            if gain < 1:
                break
        return gain

    def _agreed(self, state: TaskState, gains: Sequence[float]) -> float:
        """Of boards that agree the least gain; of those that do not the one in the middle, if there
        is a third."""
        if _lie_apart(gains):
            told = ", ".join(f"{one:.2f}" for one in gains)
            note(f"boards disagree on a schedule of {state.task.name}, times as fast: {told}")
        return median(gains) if len(gains) > _JUDGES else min(gains)

    def _fail(self, trial: Trial, outcome: Outcome, error: str) -> None:
        failed = replace(trial, outcome=outcome, error=error, times_ms=())
        self._database.append(self._run, self._search.conditions, failed)


def _gain_in(ran: Ran) -> float:
    """The default's latency over the candidate's; of a failure none at all."""
    return ran.default_ms / median(ran.times_ms) if ran.times_ms else 0.0


def _lie_apart(gains: Sequence[float]) -> bool:
    return max(gains) > _APART * min(gains)


def _loadable(building: Future[Built], arguments: tuple[Tensor, ...]) -> Loadable | Exception:
    """What was built, or why it was not.

    Raises:
        MissingToolError: nothing can be built any more.
    """
    try:
        return building.result().loadable(arguments)
    except MissingToolError:
        raise
    except Exception as error:  # whatever a build raises: see `Builder.submit`
        return error


_LEFT_OUT: Fate = "not compared: others looked faster still"


def _fate(gain: float | None, is_best: bool) -> Fate:
    if gain is None:
        return "wrong or failed when it was compared"
    if is_best:
        return "taken"
    if gain < 1:
        return "slower than the default in turns with it"
    if gain <= 1 / MARGIN:
        return "less than 3 % faster in turns with the default"
    return "slower than another candidate"


def _promising(trials: list[tuple[int, Trial]], winner: int | None) -> list[tuple[int, Trial]]:
    """The winner so far and those that beat the default, each candidate once, fastest first."""
    wrong = {candidate_of(trial) for _, trial in trials if trial.outcome == "wrong result"}
    ordered = sorted(trials, key=lambda one: (one[0] != winner, one[1].ratio))
    found: dict[object, tuple[int, Trial]] = {}
    for number, trial in ordered:
        beats = not trial.is_default and (trial.ratio < MARGIN or number == winner)
        if beats and candidate_of(trial) not in wrong:
            found.setdefault(candidate_of(trial), (number, trial))
    return list(found.values())
