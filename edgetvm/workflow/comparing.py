"""Which of several is faster: run in turns on one board, or taken from what is stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.boards.profile import BoardProfile, load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.tuned import UNTUNED, TunedSchedules
from edgetvm.farm.governing import governed
from edgetvm.farm.hands import WAIT_S
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import connect
from edgetvm.farm.standing_boards import standing
from edgetvm.measure.comparing import ALPHA, LEAST_PROCESSES, Comparison, holm
from edgetvm.measure.measurement import Measurement
from edgetvm.measure.measuring import measure
from edgetvm.measure.plan import Plan
from edgetvm.measure.processes import (
    Difference,
    check_alike,
    compare_processes,
    differences,
    in_turns,
    same_package,
)
from edgetvm.measure.store import Store
from edgetvm.models.model import ImportOptions
from edgetvm.models.reference import Source
from edgetvm.package.archive import Package, is_package, read_package
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import find_subject

_ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
_LEAST = 2


@dataclass(frozen=True)
class Turn:
    """How a process measures.

    Attributes:
        processes: of each side.
        runs: timed in each process.
        max_s: no run begins after so many seconds.
        threads: all cores of the board without it.
    """

    processes: int = 10
    runs: int = 50
    max_s: float = 30.0
    threads: int | None = None

    @property
    def plan(self) -> Plan:
        """Of one process."""
        return Plan(runs=self.runs, max_s=self.max_s, threads=self.threads, explained=False)


@dataclass(frozen=True)
class Contest:
    """One thing beside the first.

    Attributes:
        first, second: as they were named.
        p: the comparison's, adjusted for all that were compared at once.
        different: what differs between both, but for their times.
        measurements: ids of the processes of each.
    """

    first: str
    second: str
    comparison: Comparison
    p: float
    different: tuple[Difference, ...]
    measurements: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def told(self) -> str:
        """`slower`, `faster`, or why neither is said."""
        found = self.comparison
        if self.p >= ALPHA or found.low <= 1 <= found.high:
            few = found.processes < LEAST_PROCESSES
            return "too few processes to tell" if few else "no difference is shown"
        return "slower" if found.ratio > 1 else "faster"


def package_of(
    name: str,
    profile: BoardProfile,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
) -> Package:
    """A package file as it is; a model or recipe built.

    Raises:
        EdgetvmError: it cannot be found, read or built.
    """
    if name.endswith(".edgetvm") or is_package(Path(name)):
        return read_package(Path(name))
    return build(find_subject(name), profile, tuned, options=options).package


@contextmanager
def at_work(board: Board, wait_s: float, purpose: str) -> Iterator[Board]:
    """A board that is reached, its clocks at their best, for fresh sessions one after the other.

    Raises:
        UsageError: it is emulated.
        BoardError: it cannot be had.
    """
    check_real(board)
    with standing(board, wait_s, purpose) as up, governed([up]):
        yield up


def check_real(board: Board, doing: str = "compare") -> None:
    """Refuse a board whose times say nothing, before anything is built for it.

    Args:
        doing: what wants them.

    Raises:
        UsageError: it is emulated.
    """
    if load_profile(board.profile).emulated:
        raise UsageError(
            "it is emulated, and its times say nothing about a real one",
            where=f"board {board.name}",
            mend=f"{doing} on a real board",
        )


def measurer(
    board: Board, package: Package, turn: Turn, profile: BoardProfile | None = None
) -> Callable[[], Measurement]:
    """Measures a package once in a fresh process of the board; nothing is kept.

    Args:
        board: that stands, see `at_work`.
        profile: that the package is for; the board's without it.
    """
    profile = profile or load_profile(board.profile)
    manifest = package.manifest
    # Only a recipe's data and peers need the file itself, and here are neither.
    source = Source(Path(manifest.provenance.file_name), ImportOptions(), manifest.signature)

    def once() -> Measurement:
        with connect(board) as session:
            return measure(session, package, profile, source=source, plan=turn.plan)

    return once


def compare_in_turns(
    names: Sequence[str],
    board: Board,
    turn: Turn,
    tuned: TunedSchedules = UNTUNED,
    options: CompileOptions = DEFAULTS,
    wait_s: float = WAIT_S,
    store: Store | None = None,
) -> list[Contest]:
    """Run models, recipes or packages in turns, and compare each with the first.

    Args:
        names: at least two.
        board: a real one.
        store: keeps every process that counts; the user's without it.

    Raises:
        UsageError: an emulated board.
        EdgetvmError: one cannot be built or measured.
    """
    check_real(board)
    profile = load_profile(board.profile)
    packages = [package_of(name, profile, tuned, options) for name in names]
    with at_work(board, wait_s, f"compare {' '.join(names)}") as up:
        taken = in_turns([measurer(up, one, turn) for one in packages], turn.processes)
    store = store or Store()
    for measurement in (one for side in taken for one in side):
        store.save(measurement)
    return _contests(names, taken)


def is_stored(name: str) -> bool:
    """Whether a name is a measurement's id."""
    return _ID.fullmatch(name) is not None


def compare_stored(ids: Sequence[str], store: Store) -> list[Contest]:
    """Compare the packages of stored measurements, each with the first's.

    Of each id all good runs of the same package on the same board and in the same setting count:
    processes differ more than runs within one.

    Raises:
        NotFoundError: there is no such measurement.
        UsageError: they cannot be compared, or too few runs are stored.
    """
    named = [store.load(one) for one in ids]
    check_alike(named)
    for name, one in zip(ids[1:], named[1:], strict=True):
        if one.package_sha256 == named[0].package_sha256:
            raise UsageError(
                f"it is a run of the same package as {ids[0]}",
                where=name,
                mend="name measurements of two packages",
            )
    return _contests(ids, [same_package(store, one) for one in named])


def _contests(names: Sequence[str], sides: Sequence[tuple[Measurement, ...]]) -> list[Contest]:
    for name, side in zip(names, sides, strict=True):
        if len(side) < _LEAST:
            raise UsageError(
                f"{len(side)} undisturbed runs of it, and a comparison needs at least {_LEAST}",
                where=name,
                mend="compare the models or packages themselves, on a board that is idle",
            )
    found = [compare_processes(sides[0], side) for side in sides[1:]]
    adjusted = holm([one.p for one in found])
    return [
        Contest(
            names[0],
            name,
            comparison,
            p,
            differences(sides[0][-1], side[-1]),
            (tuple(one.id for one in sides[0]), tuple(one.id for one in side)),
        )
        for name, side, comparison, p in zip(names[1:], sides[1:], found, adjusted, strict=True)
    ]
