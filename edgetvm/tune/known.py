"""What a search knows: the trials of before, of itself, and of other processes meanwhile."""

from __future__ import annotations

from collections import Counter

from edgetvm.tune.allocation import TaskState
from edgetvm.tune.asked import Search
from edgetvm.tune.candidates import Candidate
from edgetvm.tune.cost_model import CostModel
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.generic import Draw
from edgetvm.tune.jobs import Ran
from edgetvm.tune.records import Outcome, Trial


class Known:
    """The tasks' states and the cost model, which learn from each trial; all are in the database.

    Attributes:
        states: by task key.
        outcomes: of the trials of this run.
    """

    def __init__(
        self, search: Search, database: TuningDatabase, model: CostModel, run: int, draw: Draw
    ) -> None:
        """Take up what was measured before.

        Args:
            search: what is searched.
            database: that trials are kept in.
            model: that ranks candidates.
            run: number of this run in the database.
            draw: draws from MetaSchedule's space.
        """
        self.states = {task.key: TaskState.of(task, draw) for task in search.tasks.tasks}
        self.outcomes = Counter(database.outcomes_in(run))
        self._conditions, self._database = search.conditions, database
        self._model, self._run = model, run
        # Workloads that are in the database.
        self._kept = set[str]()
        # The last trial that was read, and those after it that this search has made itself.
        self._read, self._mine = 0, set[int]()
        self.read()
        for state in self.states.values():
            state.dry = 0.0

    @property
    def done(self) -> int:
        """Trials of this run."""
        return self.outcomes.total()

    def read(self) -> None:
        """Learn what others have measured since the last time."""
        told = set()
        for number, trial in self._database.numbered(self._conditions, after=self._read):
            self._read = number
            state = self.states.get(trial.task)
            if number in self._mine or state is None or trial.is_from_elsewhere:
                continue
            state.know(trial)
            told.add(trial.task)
            form = state.forms.get(trial.workload)
            if form is not None:
                self._model.learn(form, trial)
        self._mine.clear()
        for task in told:
            self.states[task].leave_out_known()

    def keep(
        self,
        candidate: Candidate,
        outcome: Outcome,
        error: str,
        ran: Ran | None = None,
        board: str = "",
    ) -> None:
        """Keep a trial, and learn from it.

        Args:
            candidate: that was tried.
            outcome, error: as in `Trial`.
            ran: what a board said, if it came so far.
            board: its name in the search.
        """
        state = candidate.state
        trial = Trial(
            state.task.key,
            candidate.form.workload,
            candidate.choice,
            candidate.form.operators,
            outcome,
            ran.times_ms if ran is not None else (),
            ran.default_ms if ran is not None else 0.0,
            error,
            board,
            dict(ran.environment or {}) if ran is not None else {},
        )
        if candidate.form.workload not in self._kept:
            self._kept.add(candidate.form.workload)
            self._database.add_workload(candidate.form, state.task.description)
        self._mine.add(self._database.append(self._run, self._conditions, trial))
        self.outcomes[outcome] += 1
        state.know(trial)
        if not trial.is_default:
            self._model.learn(candidate.form, trial)
