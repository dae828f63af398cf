"""Work on many samples at once, so that what one server must do again for each is done for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Condition
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE = 16


@dataclass
class _Asked(Generic[Question, Answer]):
    kind: str
    question: Question
    answer: Future[Answer] = field(default_factory=Future)


class Turns(Generic[Question, Answer]):
    """Threads that ask questions of several kinds, answered kind by kind by the thread that waits.

    A server that must be made ready for a kind is made ready once for all threads that ask it,
    not once for each.
    """

    def __init__(self, serve: Callable[[str, Question], Answer]) -> None:
        """Take what answers a question of a kind; it is called by one thread only."""
        self._serve = serve
        self._changed = Condition()
        self._asked: list[_Asked[Question, Answer]] = []
        self._busy = 0
        self._failure: BaseException | None = None

    def ask(self, kind: str, question: Question) -> Answer:
        """The answer to a question; for the threads of `run`.

        Raises:
            whatever answering raises.
        """
        asked: _Asked[Question, Answer] = _Asked(kind, question)
        with self._changed:
            self._asked.append(asked)
            self._busy -= 1
            self._changed.notify()
        return asked.answer.result()

    def run(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`work` on each item, in order, each in a thread of its own.

        Once a question could not be answered, no further one is tried.

        Raises:
            whatever `work`, or answering one of its questions, raises.
        """
        self._failure = None
        found: list[Result] = []
        for begin in range(0, len(items), _AT_ONCE):
            found += self._together(work, items[begin : begin + _AT_ONCE])
        return found

    def _together(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        self._busy = len(items)
        with ThreadPoolExecutor(len(items)) as pool:
            results = [pool.submit(self._one, work, item) for item in items]
            kind = ""
            while asked := self._all_that_is_asked():
                kinds = [one.kind for one in asked]
                kind = kind if kind in kinds else kinds[0]
                self._answer([one for one in asked if one.kind == kind])
        return [one.result() for one in results]

    def _one(self, work: Callable[[Item], Result], item: Item) -> Result:
        try:
            return work(item)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify()

    def _all_that_is_asked(self) -> list[_Asked[Question, Answer]]:
        """Once no thread can go on without an answer."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0)
            return list(self._asked)

    def _answer(self, asked: Sequence[_Asked[Question, Answer]]) -> None:
        for one in asked:
            with self._changed:
                self._asked.remove(one)
                self._busy += 1
            try:
                if self._failure is not None:
                    raise self._failure
                one.answer.set_result(self._serve(one.kind, one.question))
            except BaseException as error:  # Ctrl-C too: every thread must end before this one
                self._failure = error
                one.answer.set_exception(error)
