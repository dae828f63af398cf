"""Boards elsewhere, linked by a process of their own for as long as a command needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from edgetvm.base.errors import BoardError, EdgetvmError
from edgetvm.base.steps import step, warn
from edgetvm.base.words import plural
from edgetvm.base.workers import Answer, Worker, WorkerLate, WorkerLost
from edgetvm.farm.inventory import Board
from edgetvm.farm.link import Link
from edgetvm.farm.ssh import Deadlines
from edgetvm.farm.together import on_all
from edgetvm.farm.tracker_client import Address

# Of all deadlines on the way together, for as many boards as are opened at once.
_OPEN_S = 180.0
_FAULT_S = 60.0

Fault = EdgetvmError | None


@dataclass(frozen=True)
class _Wanted:
    """To the process: link these boards. It answers with what is wrong with each."""

    boards: tuple[Board, ...]
    tracker: Address
    deadlines: Deadlines | None


# By tracker and key of each board that is linked now: asks why it cannot be had.
_FAULTS: dict[tuple[Address | None, str], Callable[[], Fault]] = {}


@contextmanager
def linked(
    board: Board, *, tracker: Address, deadlines: Deadlines | None = None
) -> Iterator[Board]:
    """A board elsewhere, registered with a tracker of this machine for as long as the block lasts.

    Raises:
        BoardError, ConfigurationError: see `edgetvm.farm.link.Link.open`.
    """
    with all_linked([board], tracker=tracker, deadlines=deadlines) as (there,):
        yield there


@contextmanager
def all_linked(
    boards: Sequence[Board], *, tracker: Address, deadlines: Deadlines | None = None
) -> Iterator[list[Board]]:
    """Several at once. Of several, one that cannot be had is told in a warning, and may come later.

    Raises:
        BoardError, ConfigurationError: none can be had; see `edgetvm.farm.link.Link.open`.
    """
    there = [one.registered_with(tracker) for one in boards]
    with closing(Worker(answering)) as worker:
        with step(f"reach {', '.join(one.name for one in boards)}") as this:
            # What holds a board belongs to this process.
            bare = tuple(replace(one, hand=None) for one in boards)
            faults = _open(worker, _Wanted(bare, tracker, deadlines))
            _tell(faults)
            this.detail = f"{plural(sum(map(bool, faults)), 'board')} away" if any(faults) else ""
        keys = [(tracker, one.key) for one in there]
        _FAULTS.update({key: _asking(worker, at) for at, key in enumerate(keys)})
        try:
            yield there
        finally:
            for key in keys:
                _FAULTS.pop(key, None)


def fault_of(board: Board) -> Fault:
    """Why a board that this process has linked cannot be had now; None where nothing is known."""
    ask = _FAULTS.get((board.tracker, board.key))
    return ask() if ask is not None else None


def _open(worker: Worker, wanted: _Wanted) -> list[Fault]:
    try:
        faults: list[Fault] = worker.ask(wanted, _OPEN_S)
    except (WorkerLate, WorkerLost) as error:
        raise BoardError(
            f"the process that reaches boards did not: {error}",
            mend="run again with EDGETVM_NATIVE_LOG=1 to see its words",
        ) from error
    return faults


def _tell(faults: Sequence[Fault]) -> None:
    """Warn of the boards that cannot be had; raise the first reason where that is all of them."""
    first = next((one for one in faults if one is not None), None)
    if first is not None and all(faults):
        raise first
    for fault in faults:
        if fault is not None:
            warn(f"{fault}: it is asked again now and then")


def _asking(worker: Worker, at: int) -> Callable[[], Fault]:
    def ask() -> Fault:
        try:
            faults: list[Fault] = worker.ask(None, _FAULT_S)
        except (WorkerLate, WorkerLost) as error:
            return BoardError(f"the process that reaches boards is gone: {error}")
        # One that died was started anew for the question, and has reached nothing.
        return faults[at] if faults else BoardError("the process that reaches boards was lost")

    return ask


def answering() -> Answer:
    """In the process: links the boards that are wanted first, and tells what is wrong with each."""
    links: list[Link] = []

    def answer(wanted: _Wanted | None) -> list[Fault]:
        if wanted is None:
            return [link.fault for link in links]
        by_name = {one.name: Link(one, wanted.tracker, wanted.deadlines) for one in wanted.boards}
        links.extend(by_name.values())
        patient = len(links) > 1
        opened = on_all("", wanted.boards, lambda one: by_name[one.name].open(patient=patient))
        return [opened[name].error or link.fault for name, link in by_name.items()]

    return answer
