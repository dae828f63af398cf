"""The trial loop: candidates are proposed, built and run at the same time, and kept one by one."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from edgetvm.base.errors import MissingToolError
from edgetvm.base.steps import note, warn
from edgetvm.farm.inventory import Board
from edgetvm.tune.allocation import BATCH, TaskState, default_choice, next_task
from edgetvm.tune.asked import Search
from edgetvm.tune.board_threads import BoardThreads, all_gone
from edgetvm.tune.building import Builder, BuildJob
from edgetvm.tune.candidates import Candidate, Event, build_failure, told_built
from edgetvm.tune.cost_model import CostModel
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.drawing import DrawJob
from edgetvm.tune.jobs import Loadable, Ran
from edgetvm.tune.progress import Progress
from edgetvm.tune.records import Outcome, Trial
from edgetvm.tune.steadiness import Steadiness
from edgetvm.tune.tasks import Form

# A candidate whose board was lost is run on others, so many times in all.
_ATTEMPTS = 3
# With no board for so long the search ends.
_ALL_LOST_S = 120.0
_TICK_S = 0.25


class Loop:
    """A search under way."""

    def __init__(
        self,
        search: Search,
        database: TuningDatabase,
        builder: Builder,
        model: CostModel,
        run: int,
        told: Callable[[Progress], None] | None = None,
    ) -> None:
        """Take up what is known.

        Args:
            search: what, where and how.
            database: that trials are kept in.
            builder: of candidates.
            model: that ranks them; learns.
            run: number of this run in the database.
            told: is called with the progress, a few times a second.
        """
        self._search, self._database, self._builder = search, database, builder
        self._model, self._run, self._told = model, run, told
        self.states = {task.key: TaskState.of(task, self._draw) for task in search.tasks.tasks}
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._quiet = threading.Lock()
        self._boards = BoardThreads(
            search.boards, search.runner, search.how, builder, self._quiet, self._events
        )
        self._to_build: deque[Candidate] = deque()
        # Built, and their task's default is not; by its key.
        self._held: dict[str, list[Candidate]] = defaultdict(list)
        self._waiting = 0
        self._done = database.trials_in(run)
        self._spent_s = database.spent_s(run)
        self._outcomes: Counter[str] = Counter()
        self._complained: set[tuple[str, str]] = set()
        self._steadiness = Steadiness()
        self._environments: dict[str, Mapping[str, object]] = {}
        # The last trial that was read, and those after it that this search has made itself.
        self._read, self._mine = 0, set[int]()
        self._variants = ThreadPoolExecutor(1, thread_name_prefix="forms")
        self._coming: Future[Mapping[str, Form] | None] | None = None
        self._no_more_forms = False
        self._began_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Of this run, with what was spent before it was stopped."""
        return self._spent_s + time.monotonic() - self._began_s

    @property
    def standing(self) -> list[Board]:
        """The boards that are not lost."""
        return self._boards.standing

    def run(self) -> Progress:
        """Search until the budget is used up, or nothing is left.

        Raises:
            BoardGoneError: all boards are gone, and none came back.
            MissingToolError: the builders are gone.
        """
        self._read_trials()
        for state in self.states.values():
            state.dry = 0.0
        self._boards.start()
        last_told_s = 0.0
        try:
            for state in self._first_asked():
                self._ask_for_default(state)
            self._sow()
            while not self._is_over():
                with self._quiet:
                    self._feed()
                self._take()
                if time.monotonic() - last_told_s > _TICK_S:
                    last_told_s = time.monotonic()
                    self._read_trials()
                    self._tell()
            self._tell()
        finally:
            self._database.spend(self._run, self.elapsed_s)
            self._boards.stop()
            self._variants.shutdown(wait=False, cancel_futures=True)
        return self.progress()

    def _first_asked(self) -> list[TaskState]:
        """Tasks whose defaults are not known and are measured first: all of them, or, of a budget
        that would be used up by that, as many of the largest as leave half of it."""
        unknown = [one for one in self.states.values() if not one.default_ms]
        trials = self._search.budget.trials
        if trials is None or trials - self._done >= 2 * len(unknown):
            return unknown
        most = max(1, (trials - self._done) // 2)
        if most < len(unknown):
            note(
                f"{trials} trials are few for {len(self.states)} kernels: of those that were never "
                f"measured, only the {most} with most work are tuned now"
            )
        return sorted(unknown, key=lambda one: -one.task.calls * one.task.work)[:most]

    def _sow(self) -> None:
        """Propose first what was best for the same kernels elsewhere."""
        for key, choices in self._search.seeds.items():
            state = self.states[key]
            for choice in choices:
                if state.take(choice):
                    self._want(Candidate(state, state.task.form, choice))

    def _want(self, candidate: Candidate) -> None:
        """Build it, after its task's default."""
        self._ask_for_default(candidate.state)
        self._to_build.append(candidate)

    def _ask_for_default(self, state: TaskState) -> None:
        """Build it once. One that was measured in a search before is built when it is needed."""
        if not state.default_asked:
            state.default_asked = True
            form = state.task.form
            self._to_build.append(Candidate(state, form, default_choice(form)))

    def _read_trials(self) -> None:
        """Learn from what was measured before, and from what other processes measure meanwhile."""
        told = set()
        for number, trial in self._database.numbered(self._search.conditions, after=self._read):
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

    def _is_over(self) -> bool:
        budget = self._search.budget
        if budget.time_s is not None and self.elapsed_s >= budget.time_s:
            return True
        if self._boards.all_lost:
            self._boards.lost_since_s = self._boards.lost_since_s or time.monotonic()
            if time.monotonic() - self._boards.lost_since_s > _ALL_LOST_S:
                raise all_gone(", ".join(one.name for one in self._search.boards))
        else:
            self._boards.lost_since_s = None
        if self._waiting or self._to_build:
            return False
        if budget.trials is not None and self._done >= budget.trials:
            return True
        if any(one.is_drawing for one in self.states.values()):
            return False
        return self._no_more_forms and self._next_state() is None

    def _feed(self) -> None:
        """Keep builders and boards busy."""
        limit = 2 * self._builder.workers + _ahead(len(self._search.boards))
        self._take_forms()
        while self._waiting < limit:
            if not self._to_build and not self._propose():
                break
            candidate = self._to_build.popleft()
            candidate.state.waiting += 1
            self._waiting += 1
            job = BuildJob(
                candidate.form.kernel, candidate.choice, self._search.profile, self._search.options
            )
            self._builder.submit(job).add_done_callback(told_built(self._events, candidate))

    def _draw(
        self, form: Form, count: int, seed: int, parents: tuple[str, ...]
    ) -> Future[tuple[str, ...]]:
        search = self._search
        return self._builder.draw(
            DrawJob(form.kernel, search.profile, search.options, count, seed, parents)
        )

    def _next_state(self) -> TaskState | None:
        return next_task(self.states.values(), self._search.budget.until_flat)

    def _propose(self) -> bool:
        budget = self._search.budget
        room = BATCH if budget.trials is None else budget.trials - self._done - self._waiting
        state = self._next_state() if room > 0 else None
        if state is None:
            if room > 0 and not self._waiting:
                self._ask_for_forms()
            return False
        space = state.next_space()
        for choice in space.propose(min(BATCH, room), self._model):
            self._want(Candidate(state, space.form, choice))
        if state.left == 0 or state.is_flat:
            self._ask_for_forms()
        return bool(self._to_build)

    def _ask_for_forms(self) -> None:
        if self._coming is None and not self._no_more_forms:
            self._coming = self._variants.submit(self._next_forms)

    def _next_forms(self) -> Mapping[str, Form] | None:
        with self._quiet:
            return next(self._search.more_forms, None)

    def _take_forms(self) -> None:
        if self._coming is None or not self._coming.done():
            return
        found = self._coming.result()
        self._coming = None
        if found is None:
            self._no_more_forms = True
            return
        for key, form in found.items():
            self.states[key].add_form(form)

    def _take(self) -> None:
        """Handle what has ended."""
        try:
            event = self._events.get(timeout=_TICK_S / 5)
        except queue.Empty:
            return
        while True:
            self._handle(event)
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return

    def _handle(self, event: Event) -> None:
        candidate = event.candidate
        if event.ran is not None:
            self._ran(candidate, event.ran, event.board)
        elif isinstance(event.error, MissingToolError):
            raise event.error  # no candidate can be built any more
        elif event.built is None:
            outcome, words = build_failure(event.error)
            self._keep(candidate, outcome, words)
            if candidate.is_default:
                # Without a yardstick there are no trials, though there was one in a search before.
                candidate.state.default_failed = True
                for one in self._held.pop(candidate.state.task.key, ()):
                    self._wait_no_longer(one)
        else:
            candidate.library = event.built.library
            self._built(candidate)

    def _built(self, candidate: Candidate) -> None:
        state = candidate.state
        if candidate.is_default:
            state.default = Loadable(candidate.library, candidate.form.arguments)
            if state.default_ms:
                # Measured in a search before; only its library is needed.
                self._wait_no_longer(candidate)
            else:
                self._boards.ready.put(candidate)
            for one in self._held.pop(state.task.key, ()):
                self._boards.ready.put(one)
        elif state.default_failed:
            self._wait_no_longer(candidate)
        elif state.default is None:
            self._held[state.task.key].append(candidate)
        else:
            self._boards.ready.put(candidate)

    def _wait_no_longer(self, candidate: Candidate) -> None:
        candidate.state.waiting -= 1
        self._waiting -= 1

    def _ran(self, candidate: Candidate, ran: Ran, board: str) -> None:
        candidate.attempts += ran.begun
        if ran.outcome == "board lost":
            self._complain(board, ran.error)
        if ran.outcome == "board lost" and candidate.attempts < _ATTEMPTS:
            self._boards.ready.put(candidate)
            return
        self._look_at(board, candidate.state.task.key, ran)
        self._keep(candidate, ran.outcome, ran.error, ran, board)

    def _look_at(self, board: str, task: str, ran: Ran) -> None:
        """Keep what a board says of itself, and whether it has become slower."""
        self._steadiness.saw(board, task, ran.default_ms)
        if ran.environment:
            slowed = self._steadiness.slowed(board)
            self._environments[board] = {**ran.environment, "slowed": slowed}

    def _complain(self, board: str, why: str) -> None:
        """Once for each board and reason."""
        if (board, why) not in self._complained:
            self._complained.add((board, why))
            warn(f"{board.partition('#')[0]} is lost, and is asked again now and then: {why}")

    def _keep(
        self,
        candidate: Candidate,
        outcome: Outcome,
        error: str,
        ran: Ran | None = None,
        board: str = "",
    ) -> None:
        self._wait_no_longer(candidate)
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
        self._database.add_workload(candidate.form, state.task.description)
        self._mine.add(self._database.append(self._run, self._search.conditions, trial))
        self._done += 1
        self._outcomes[outcome] += 1
        state.know(trial)
        if not trial.is_default:
            self._model.learn(candidate.form, trial)

    def _tell(self) -> None:
        self._database.spend(self._run, self.elapsed_s)
        if self._told is not None:
            self._told(self.progress())

    def progress(self) -> Progress:
        """How far it is."""
        states = sorted(self.states.values(), key=lambda one: -one.task.calls * one.default_ms)
        total_ms = sum(one.task.calls * one.default_ms for one in states) or 1.0
        roofline = self._search.roofline
        return Progress(
            tuple(one.progress(total_ms, roofline) for one in states),
            self._done,
            dict(self._outcomes),
            dict(self._boards.states),
            self.elapsed_s,
            self._left_s(),
            roofline,
            dict(self._environments),
            self._search.conditions.cores,
            self._search.conditions.estimated,
        )

    def _left_s(self) -> float | None:
        budget, left = self._search.budget, []
        if budget.time_s is not None:
            left.append(max(0.0, budget.time_s - self.elapsed_s))
        if budget.trials is not None and self._done:
            left.append((budget.trials - self._done) * self.elapsed_s / self._done)
        return min(left, default=None)


def _ahead(boards: int) -> int:
    """Candidates that are ready, or nearly so. One board needs the next; of several, each stays
    longest with its task where a lot of candidates waits for it."""
    return 2 if boards == 1 else BATCH * boards
