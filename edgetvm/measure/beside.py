"""Peers beside edgetvm: the same model and inputs, in turns on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from statistics import median

from pydantic.dataclasses import dataclass

from edgetvm.base.errors import UsageError
from edgetvm.base.pins import installed_version
from edgetvm.base.steps import step
from edgetvm.base.units import format_ms
from edgetvm.farm.inventory import Board
from edgetvm.farm.session import BoardSession
from edgetvm.measure.peer_crews import Lost, Runner, crew_here
from edgetvm.measure.peers import Peer, peer_called, settings
from edgetvm.measure.peers.answers import TOLERANCE
from edgetvm.measure.peers.case import Case, Task, Unavailable
from edgetvm.measure.peers.crew import WorkerLost
from edgetvm.measure.peers.preparing import prepared
from edgetvm.measure.peers_on_board import crew_on
from edgetvm.models.model import Arrays
from edgetvm.models.reference import Source

_ROUNDS = 5
_TURN_S = 0.2
_WARM_S = 0.05
_MOST_RUNS = 1 << 20
_MOST_KEPT = 500  # of a turn's runs, at even distances


@dataclass(frozen=True)
class PeerRun:
    """One peer, with the setting that was its fastest.

    Attributes:
        version: of its package; empty where that is not installed.
        setting: by the peer's own name for it; empty where it has one only.
        precision: that it computes in, as far as it tells.
        rounds_ns: durations of its runs, of each round.
        error: how far its answers lie from those of the model's own runtime, see
            `edgetvm.measure.peers.answers`; None where it gave none.
        why: there are no runs; empty where there are.
    """

    name: str
    version: str = ""
    setting: str = ""
    precision: str = ""
    rounds_ns: tuple[tuple[int, ...], ...] = ()
    error: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Beside:
    """Peers and edgetvm in turns.

    Attributes:
        threads: of each.
        rounds_ns: durations of edgetvm's runs, of each round.
        peers: in the order asked for.
    """

    threads: int
    rounds_ns: tuple[tuple[int, ...], ...]
    peers: tuple[PeerRun, ...] = field(default_factory=tuple)


def times_as_long(beside: Beside, peer: PeerRun) -> tuple[float, float, float]:
    """How many times as long a peer takes as edgetvm: the median over rounds, least and most.

    Of each round the medians are compared: what changes between rounds hits both.
    """
    ratios = sorted(
        median(theirs) / median(ours)
        for theirs, ours in zip(peer.rounds_ns, beside.rounds_ns, strict=True)
    )
    return median(ratios), ratios[0], ratios[-1]


def check_peers(names: Sequence[str], board: Board) -> None:
    """Refuse peers that nobody knows, and boards that nothing can be brought to.

    Raises:
        UsageError: one of both.
    """
    for name in names:
        try:
            peer_called(name)
        except Unavailable as error:
            raise UsageError(str(error), where="--peer") from None
    if names and not board.shares_cores and board.login is None:
        raise UsageError(
            "peers are brought to a board over SSH, and nothing says how to log in to this one",
            where=f"board {board.name}",
            mend="give it a `host` in the inventory, or leave --peer out",
        )


def measure_beside(
    session: BoardSession, source: Source, inputs: Arrays, names: Sequence[str], threads: int
) -> Beside:
    """Time peers and the package that is open in turns, each peer in a process of its own.

    On another board than this machine the peers are brought there first, and timed there.

    Every setting of a peer that is worth trying runs; the fastest counts. While one has its
    turn the others are stopped.

    Args:
        session: with the package open.
        source: of the model.
        inputs: of one run, a stream's states among them.
        names: of peers.
        threads: of each.

    Raises:
        BoardError: the board failed.
        InputError: the model's own runtime refuses the inputs.
    """
    with step(f"peers beside edgetvm: {', '.join(names)}") as this:
        try:
            case = prepared(source, inputs)
        except Unavailable as error:
            return Beside(threads, (), tuple(PeerRun(name, why=str(error)) for name in names))
        found = _in_turns(session, case, inputs, [peer_called(name) for name in names], threads)
        this.detail = ", ".join(
            f"{one.name} {format_ms(_median_ns(one.rounds_ns) / 1e6)}"
            if one.rounds_ns
            else f"{one.name} not run"
            for one in found.peers
        )
    return found


def _in_turns(
    session: BoardSession, case: Case, inputs: Arrays, peers: Sequence[Peer], threads: int
) -> Beside:
    here = session.board.shares_cores
    reasons = {peer.name: _why_not(peer, case, threads, here) for peer in peers}
    tasks = [
        Task(peer.name, setting, case, threads)
        for peer in peers
        if not reasons[peer.name]
        for setting in settings(peer, case, threads)
    ]

    def lost(task: Task, why: str) -> None:
        reasons[task.engine] = why

    runs: dict[str, list[PeerRun]] = {peer.name: [] for peer in peers}
    with crew_here(tasks, lost) if here else crew_on(session.board, tasks, lost) as runners:
        right = [runner for runner in runners if _answers(runner, lost)]
        own, theirs = _rounds(session, inputs, right, lost)
        for runner in right:
            if len(theirs[runner]) == _ROUNDS:
                runs[runner.task.engine].append(_run_of(runner, theirs[runner]))
    best = [
        min(runs[peer.name], key=lambda one: _median_ns(one.rounds_ns))
        if runs[peer.name]
        else PeerRun(peer.name, _version(peer, here), why=reasons[peer.name])
        for peer in peers
    ]
    return Beside(threads, own, tuple(best))


def _version(peer: Peer, here: bool) -> str:
    return installed_version(peer.package) or "" if here else ""


def _why_not(peer: Peer, case: Case, threads: int, here: bool) -> str:
    if here and installed_version(peer.package) is None:
        return f"{peer.package} is not installed: pip install 'edgetvm[bench]'"
    if not settings(peer, case, threads):
        kind = "quantised " if case.kind == "int8" else ""
        return f"{peer.name} reads no {kind}.{case.format} file"
    return ""


def _answers(runner: Runner, lost: Lost) -> bool:
    if runner.error > TOLERANCE[runner.task.case.kind]:
        lost(runner.task, f"its answers are wrong, by {runner.error:.2g} of their spread")
        return False
    return True


def _rounds(
    session: BoardSession,
    inputs: Arrays,
    runners: list[Runner],
    lost: Lost,
) -> tuple[tuple[tuple[int, ...], ...], dict[Runner, list[tuple[int, ...]]]]:
    """Of each round the runs of edgetvm and of every peer; another one begins each time."""
    own: list[tuple[int, ...]] = []
    theirs: dict[Runner, list[tuple[int, ...]]] = {runner: [] for runner in runners}
    turns: list[Runner | None] = [None, *runners]
    for index in range(_ROUNDS):
        start = index % len(turns)
        for runner in turns[start:] + turns[:start]:
            if runner is None:
                session.time_runs(_MOST_RUNS, _WARM_S, inputs)
                own.append(_thinned(session.time_runs(_MOST_RUNS, _TURN_S).tolist()))
                continue
            try:
                if len(theirs[runner]) == index:
                    theirs[runner].append(tuple(runner.turn(_WARM_S, _TURN_S, 1)))
            except WorkerLost as error:
                lost(runner.task, str(error))
    return tuple(own), theirs


def _thinned(samples_ns: list[int]) -> tuple[int, ...]:
    return tuple(samples_ns[:: max(1, len(samples_ns) // _MOST_KEPT)])


def _run_of(runner: Runner, rounds_ns: list[tuple[int, ...]]) -> PeerRun:
    return PeerRun(
        name=runner.task.engine,
        version=str(runner.facts.get("version", "")),
        setting=runner.task.setting,
        precision=str(runner.facts.get("precision", "")),
        rounds_ns=tuple(rounds_ns),
        error=runner.error,
    )


def _median_ns(rounds_ns: Sequence[Sequence[int]]) -> float:
    return median(sample for one in rounds_ns for sample in one)
