"""Whether several threads pay: runs on all of them and on one, in turns.

Threads wait for each other many times in a run. Where another process takes a core away, each wait
lasts until that one gives way, and a run on all threads is several times slower than on one.
"""

from __future__ import annotations

from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.farm.session import BoardSession
from edgetvm.measure.measurement import ThreadTurns
from edgetvm.measure.samples import Samples
from edgetvm.measure.statistics import thread_gain

_TURNS = 6
_TURN_S = 0.025
_LEAST_TURNS = 3
# So much may be spent beside the timed runs: the larger of a time and of a share of theirs.
_LEAST_BUDGET_S = 0.5
_BUDGET_SHARE = 0.1


def threads_in_turns(
    session: BoardSession, threads: int, samples_ns: Samples
) -> ThreadTurns | None:
    """Time a model on all threads and on one, on the inputs that were last set.

    Args:
        session: with a package open.
        threads: that it was opened with.
        samples_ns: of the timed runs, which tell how long this would take.

    Returns:
        None on one thread, and where it would take long beside the timed runs.
    """
    spent_s = sum(int(chunk.sum()) for chunk in samples_ns.chunks()) / 1e9
    run_s = spent_s / len(samples_ns)
    budget_s = max(_LEAST_BUDGET_S, _BUDGET_SHARE * spent_s)
    # On one thread a run takes as many times as long, if the threads pay in full.
    pair_s = run_s * (1 + threads)
    if threads < 2 or _LEAST_TURNS * pair_s > budget_s:
        return None
    all_ns: list[int] = []
    one_ns: list[int] = []
    with step(f"compare with one thread on {session.board.name}") as this:
        count = max(1, int(_TURN_S / run_s))
        turn = 0
        while turn < _LEAST_TURNS or (turn < _TURNS and sum(all_ns + one_ns) / 1e9 < budget_s):
            all_ns += session.time_runs(count, _TURN_S).tolist()
            one_ns += session.time_runs(count, _TURN_S, threads=1).tolist()
            turn += 1
        found = ThreadTurns(tuple(all_ns), tuple(one_ns))
        this.detail = f"{plural(threads, 'thread')}: {thread_gain(found):.3g} times as fast"
    return found
