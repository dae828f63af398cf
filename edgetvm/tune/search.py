"""The trial loop: candidates are proposed, built and run at the same time, and kept one by one."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext

from edgetvm.base.errors import MissingToolError
from edgetvm.base.steps import note
from edgetvm.tune.allocation import BATCH, TaskState, default_choice, next_task
from edgetvm.tune.asked import Search
from edgetvm.tune.board_threads import BoardThreads, all_gone
from edgetvm.tune.building import LOT, Builder, BuildJob
from edgetvm.tune.candidates import Candidate, Event, build_failure, told_built
from edgetvm.tune.cost_model import CostModel
from edgetvm.tune.database import TuningDatabase
from edgetvm.tune.drawing import DrawJob
from edgetvm.tune.jobs import Ran
from edgetvm.tune.known import Known
from edgetvm.tune.looks import Looks
from edgetvm.tune.other_forms import OtherForms
from edgetvm.tune.progress import Progress
from edgetvm.tune.running import Runner
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
        self._known = Known(search, database, model, run, self._draw)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        # A board with cores of its own is not disturbed by what is computed here.
        shares = any(one.board.shares_cores for one in search.runners)
        self._quiet = threading.Lock() if shares else nullcontext()
        self._boards = BoardThreads(search.runners, search.how, builder, self._quiet, self._events)
        self._to_build: deque[Candidate] = deque()
        # Built, and their task's default is not; by its key.
        self._held: dict[str, list[Candidate]] = defaultdict(list)
        self._waiting = 0
        self._spent_s = database.spent_s(run)
        self._looks = Looks()
        self._forms = OtherForms(search.more_forms, self._quiet)
        self._began_s = time.monotonic()

    @property
    def states(self) -> Mapping[str, TaskState]:
        """Of the tasks, by their keys."""
        return self._known.states

    @property
    def elapsed_s(self) -> float:
        """Of this run, with what was spent before it was stopped."""
        return self._spent_s + time.monotonic() - self._began_s

    @property
    def standing(self) -> list[Runner]:
        """Of the boards that are not lost."""
        return self._boards.standing

    def run(self) -> Progress:
        """Search until the budget is used up, or nothing is left.

        Raises:
            BoardGoneError: all boards are gone, and none came back.
            MissingToolError: the builders are gone.
        """
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
                    self._known.read()
                    self._tell()
            self._tell()
        except KeyboardInterrupt:
            # What is told last is how many trials are kept.
            self._tell()
            raise
        finally:
            self._database.spend(self._run, self.elapsed_s)
            self._boards.stop()
            self._forms.close()
        return self.progress()

    def _first_asked(self) -> list[TaskState]:
        """Tasks whose defaults are not known and are measured first, the largest before all: all of
        them, or, of a budget that would be used up by that, as many as leave half of it."""
        unknown = [one for one in self.states.values() if not one.default_ms]
        unknown.sort(key=lambda one: -one.task.calls * one.task.work)
        trials = self._search.budget.trials
        if trials is None or trials - self._known.done >= 2 * len(unknown):
            return unknown
        most = max(1, (trials - self._known.done) // 2)
        if most < len(unknown):
            note(
                f"{trials} trials are few for {len(self.states)} kernels: of those that were never "
                f"measured, only the {most} with most work are tuned now"
            )
        return unknown[:most]

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
        if budget.trials is not None and self._known.done >= budget.trials:
            return True
        if any(one.is_drawing for one in self.states.values()):
            return False
        return self._forms.is_over and self._next_state() is None

    def _feed(self) -> None:
        """Keep builders and boards busy."""
        limit = self._most_waiting()
        for key, form in self._forms.take().items():
            self.states[key].add_form(form)
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

    def _most_waiting(self) -> int:
        """Candidates on their way. Full lots are built soonest, but what is asked for early is
        asked for blindly, and little of a small budget is left then."""
        workers, done = self._builder.workers, self._known.done
        least = 2 * workers + _ahead(len(self._search.runners))
        known = min(done // 2, (self._search.budget.trials or math.inf) // 4)
        return max(least, int(min(2 * LOT * workers, known)))

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
        room = BATCH if budget.trials is None else budget.trials - self._known.done - self._waiting
        state = self._next_state() if room > 0 else None
        if state is None:
            if room > 0 and not self._waiting:
                self._forms.ask()
            return False
        space = state.next_space()
        for choice in space.propose(min(BATCH, room), self._model):
            self._want(Candidate(state, space.form, choice))
        if state.left == 0 or state.is_flat:
            self._forms.ask()
        return bool(self._to_build)

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
            self._wait_no_longer(candidate)
            self._known.keep(candidate, outcome, words)
            if candidate.is_default:
                # Without a yardstick there are no trials, though there was one in a search before.
                candidate.state.default_failed = True
                for one in self._held.pop(candidate.state.task.key, ()):
                    self._wait_no_longer(one)
        else:
            candidate.built = event.built
            self._built(candidate)

    def _built(self, candidate: Candidate) -> None:
        state = candidate.state
        if candidate.is_default:
            state.default = candidate.loadable
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
            self._looks.lost(board, ran.error)
        if ran.outcome == "board lost" and candidate.attempts < _ATTEMPTS:
            self._boards.ready.put(candidate)
            return
        self._looks.saw(board, candidate.state.task.key, ran)
        self._wait_no_longer(candidate)
        self._known.keep(candidate, ran.outcome, ran.error, ran, board)

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
            self._known.done,
            dict(self._known.outcomes),
            dict(self._boards.states),
            self.elapsed_s,
            self._left_s(),
            roofline,
            dict(self._looks.environments),
            self._search.conditions.cores,
            self._search.conditions.estimated,
        )

    def _left_s(self) -> float | None:
        budget, left = self._search.budget, []
        if budget.time_s is not None:
            left.append(max(0.0, budget.time_s - self.elapsed_s))
        if budget.trials is not None and self._known.done:
            left.append((budget.trials - self._known.done) * self.elapsed_s / self._known.done)
        return min(left, default=None)


def _ahead(boards: int) -> int:
    """Candidates that are ready, or nearly so. One board needs the next; of several, each stays
    longest with its task where a lot of candidates waits for it."""
    return 2 if boards == 1 else BATCH * boards
