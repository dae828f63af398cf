"""MetaSchedule's generic space, for kernels that no rule of ours covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from edgetvm.compile.tuned import NO_RULE, KernelChoice
from edgetvm.tune.space import Key, Ranking, chance_of, key_of, picked
from edgetvm.tune.tasks import Form

TITLE = "MetaSchedule"
# The rules that leave a kernel as it is, or nearly so.
_UNCOVERED = frozenset({NO_RULE, "parallel loops"})
# Schedules that are drawn at a time, and those of them that the next ones are drawn from.
LOT = 32
_PARENTS = 8

# Begins to draw schedules of a form: so many, a seed, and traces to begin from.
Draw = Callable[[Form, int, int, tuple[str, ...]], "Future[tuple[str, ...]]"]


def is_uncovered(form: Form) -> bool:
    """Whether MetaSchedule's space has more to say on a form than our rules."""
    return form.rule in _UNCOVERED


class GenericSpace:
    """Schedules of one form, drawn lot by lot by somebody else, meanwhile the search goes on."""

    def __init__(self, form: Form, draw: Draw) -> None:
        """Draw nothing yet: most kernels without a rule take too little time to be worth it."""
        self.form = form
        self._draw = draw
        self._random = chance_of(form)
        self._ready: list[KernelChoice] = []
        self._drawn: list[KernelChoice] = []
        self._seen: set[Key] = set()
        self._coming: Future[tuple[str, ...]] | None = None
        self._is_over = False

    @property
    def left(self) -> int:
        """How many can be proposed; a lot's worth before any was drawn."""
        self._take()
        if not self._ready and self._coming is None and not self._is_over:
            return LOT
        return len(self._ready)

    @property
    def is_drawing(self) -> bool:
        """Whether more is to come."""
        self._take()
        return self._coming is not None

    def leave_out(self, known: Iterable[Key]) -> None:
        """Never propose these."""
        self._seen.update(known)
        self._ready = [one for one in self._ready if self._key(one) not in self._seen]

    def propose(self, count: int, ranking: Ranking) -> list[KernelChoice]:
        """The next candidates, most of them those that are ranked first; none while the first lot
        is drawn."""
        self._take()
        places = picked(self.form, self._ready, count, ranking, self._random)
        chosen = [self._ready[at] for at in places]
        gone = set(places)
        self._ready = [one for at, one in enumerate(self._ready) if at not in gone]
        self._seen.update(map(self._key, chosen))
        if len(self._ready) < count and self._coming is None and not self._is_over:
            seed = self._random.randrange(1 << 30)
            self._coming = self._draw(self.form, LOT, seed, self._parents(ranking))
        return chosen

    def _parents(self, ranking: Ranking) -> tuple[str, ...]:
        """The traces drawn so far that are ranked first; none where nothing is known."""
        predicted = ranking.predict(self.form, self._drawn) if self._drawn else None
        if predicted is None:
            return ()
        order = sorted(range(len(predicted)), key=lambda at: predicted[at])
        return tuple(self._drawn[at].trace or "" for at in order[:_PARENTS])

    def _take(self) -> None:
        """Take a lot that was drawn; one that holds nothing new is the last."""
        if self._coming is None or not self._coming.done():
            return
        coming, self._coming = self._coming, None
        traces = () if coming.cancelled() or coming.exception() is not None else coming.result()
        drawn = [KernelChoice(TITLE, trace=trace) for trace in traces]
        known = self._seen | {self._key(one) for one in self._ready}
        new = [one for one in drawn if self._key(one) not in known]
        self._is_over = not new
        self._ready += new
        self._drawn += new

    def _key(self, choice: KernelChoice) -> Key:
        return key_of(self.form.workload, choice)
