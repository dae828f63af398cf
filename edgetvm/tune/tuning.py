"""A MetaSchedule search over a model's kernels, each candidate run on a board through RPC."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import BoardError, BoardGoneError, MissingToolError
from edgetvm.base.files import storage_errors
from edgetvm.base.frames import quick_frames
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.paths import data_folder
from edgetvm.base.steps import Step, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.target import target_for
from edgetvm.farm.inventory import Board
from edgetvm.farm.tracker_client import Address, registered_keys, request_board
from edgetvm.tune.builder import WarmBuilder

if TYPE_CHECKING:
    from tvm.ir import IRModule


# A candidate that takes longer is none worth having.
_SESSION_LIMIT_S = 60
_RETURN_DEADLINE_S = 3.0


@dataclass(frozen=True)
class TunedKernel:
    """The best record of one kernel.

    Attributes:
        name: of the kernel.
        latency_ms: of the best candidate, as measured on the board; None where none ran.
    """

    name: str
    latency_ms: float | None


@dataclass(frozen=True)
class Tuned:
    """What a search left behind.

    Attributes:
        database: folder of the records, for `compile_model(tuning_database=…)`.
        trials: candidates measured in this search, failed ones included.
        kernels: of the model, with their best records, of earlier searches too.
    """

    database: Path
    trials: int
    kernels: tuple[TunedKernel, ...]


def database_folder(profile: BoardProfile) -> Path:
    """Where the records of a profile are kept."""
    return data_folder() / "tuning" / profile.name


def tune_module(
    module: IRModule, profile: BoardProfile, board: Board, trials: int, database: Path
) -> Tuned:
    """Search schedules for the kernels of an optimised module.

    Args:
        module: from `edgetvm.compile.compiler.optimise`.
        profile: of the board.
        board: with a tracker; its server runs the candidates.
        trials: candidates to measure, over all kernels; a round that was begun is finished.
        database: folder of records; added to where it exists.

    Raises:
        BoardError: the board has no tracker, or its server is gone for good.
        MissingToolError: xgboost is not installed.
        StorageError: the database cannot be written.
    """
    quick_frames()
    from tvm.s_tir import meta_schedule

    if board.tracker is None:
        raise BoardError("it has no tracker", where=board.name)
    if find_spec("xgboost") is None:
        raise MissingToolError(
            "xgboost, which ranks candidates, is not installed",
            mend="run: pip install 'edgetvm[tune]'",
        )
    with storage_errors(database):
        database.mkdir(parents=True, exist_ok=True)
    # MetaSchedule prints its tables to every handler that it finds.
    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
    with step(f"tune on {board.name}") as this, native_words_kept_back():
        with _ctrl_c_held_back():
            runner = meta_schedule.runner.RPCRunner(
                meta_schedule.runner.RPCConfig(
                    tracker_host=board.tracker.host,
                    tracker_port=board.tracker.port,
                    tracker_key=board.key,
                    session_timeout_sec=_SESSION_LIMIT_S,
                ),
                max_workers=1,
                initializer=quick_frames,
                f_create_session=_create_session,
            )
        counting = _Counting(runner, this, trials, board.tracker, board.key)
        with WarmBuilder(len(os.sched_getaffinity(0))) as builder, _ended(runner):
            try:
                meta_schedule.relax_integration.tune_relax(
                    mod=module,
                    params={},
                    target=target_for(profile),
                    work_dir=str(database),
                    max_trials_global=trials,
                    # Small rounds: every kernel gets a turn before the trials are used up.
                    num_trials_per_iter=min(16, max(2, trials // _kernels(module))),
                    builder=builder.as_metaschedule(),
                    runner=counting.as_metaschedule(),
                    seed=0,
                )
            except Exception:
                # An error of ours comes back through TVM as another.
                if counting.lost is not None:
                    raise counting.lost from None
                raise
        this.detail = f"{counting.done} trials"
    return Tuned(database, counting.done, _best(module, profile, database))


def _wait_for_server(tracker: Address, key: str) -> None:
    """Wait until a server is registered: after a candidate that crashed it is away for a moment.

    Raises:
        BoardGoneError: it does not come back.
        TrackerUnreachableError: the tracker is gone too.
    """
    until_s = time.monotonic() + _RETURN_DEADLINE_S
    while key not in registered_keys(tracker):
        if time.monotonic() > until_s:
            raise BoardGoneError(
                "its server is no longer registered",
                where=f"tracker {tracker}, key {key}",
                mend="restart it and run the same command again: what was measured is kept",
            )
        time.sleep(0.2)


def _create_session(config: Any) -> Any:
    """In TVM's runner: a session, or an error. TVM's own asks the tracker for a board for ever."""
    from tvm import rpc

    tracker = Address(config.tracker_host, int(config.tracker_port))
    _wait_for_server(tracker, config.tracker_key)
    address, key = request_board(tracker, config.tracker_key, _SESSION_LIMIT_S)
    return rpc.connect(address.host, address.port, key, session_timeout=_SESSION_LIMIT_S)


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let Ctrl-C wait for the block: TVM's runner, stopped in its making, complains at length."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ended(runner: Any) -> Iterator[None]:
    """End a runner's worker process after the block: TVM leaves it to the garbage collector."""
    try:
        yield
    finally:
        runner.pool.shutdown(wait=False)


def _kernels(module: IRModule) -> int:
    from tvm import tirx

    return max(1, sum(isinstance(one, tirx.PrimFunc) for one in module.functions.values()))


class _Counting:
    """A runner that tells how far the search is, and stops it when the board is gone."""

    def __init__(self, runner: Any, this: Step, total: int, tracker: Address, key: str) -> None:
        self._runner = runner
        self._server = (tracker, key)
        self.lost: BoardError | None = None
        self._step = this
        self._total = total
        self.done = 0

    def run(self, inputs: Any) -> Any:
        try:
            _wait_for_server(*self._server)
        except BoardError as error:
            self.lost = error
            raise
        self.done += len(inputs)
        self._step.advance(min(self.done, self._total), self._total, f"{self.done} trials")
        return self._runner.run(inputs)

    def as_metaschedule(self) -> Any:
        from tvm.ir.utils import derived_object
        from tvm.s_tir.meta_schedule.runner import PyRunner

        counting = self

        @derived_object
        class Adapter(PyRunner):  # type: ignore[misc]
            def run(self, runner_inputs: Any) -> Any:
                return counting.run(runner_inputs)

        return Adapter()


def _best(module: IRModule, profile: BoardProfile, database: Path) -> tuple[TunedKernel, ...]:
    from tvm import tirx
    from tvm.s_tir import meta_schedule
    from tvm.s_tir.meta_schedule.tune_context import _normalize_mod

    target = target_for(profile)
    records = meta_schedule.database.JSONDatabase(work_dir=str(database))
    kernels = []
    for variable, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            name = variable.name_hint
            record = records.query_tuning_record(_normalize_mod(function), target, name)
            times_s = [float(time) for time in record.run_secs] if record is not None else []
            latency_ms = 1000 * sum(times_s) / len(times_s) if times_s else None
            kernels.append(TunedKernel(name, latency_ms))
    return tuple(kernels)
