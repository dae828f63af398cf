"""A MetaSchedule search over a model's kernels, each candidate run on a board through RPC."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import BoardError
from edgetvm.base.files import storage_errors
from edgetvm.base.frames import quick_frames
from edgetvm.base.native import native_words_kept_back
from edgetvm.base.paths import data_folder
from edgetvm.base.steps import Step, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.target import target_for
from edgetvm.farm.inventory import Board
from edgetvm.tune.builder import WarmBuilder

if TYPE_CHECKING:
    from tvm.ir import IRModule


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
        BoardError: the board has no tracker.
        StorageError: the database cannot be written.
    """
    quick_frames()
    from tvm.s_tir import meta_schedule

    if board.tracker is None:
        raise BoardError("it has no tracker", where=board.name)
    with storage_errors(database):
        database.mkdir(parents=True, exist_ok=True)
    # MetaSchedule prints its tables to every handler that it finds.
    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
    with step(f"tune on {board.name}") as this, native_words_kept_back():
        runner = meta_schedule.runner.RPCRunner(
            meta_schedule.runner.RPCConfig(
                tracker_host=board.tracker.host,
                tracker_port=board.tracker.port,
                tracker_key=board.key,
                session_timeout_sec=60,
            ),
            max_workers=1,
            initializer=quick_frames,
        )
        counting = _Counting(runner, this, trials)
        with WarmBuilder(len(os.sched_getaffinity(0))) as builder:
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
        this.detail = f"{counting.done} trials"
    return Tuned(database, counting.done, _best(module, profile, database))


def _kernels(module: IRModule) -> int:
    from tvm import tirx

    return max(1, sum(isinstance(one, tirx.PrimFunc) for one in module.functions.values()))


class _Counting:
    """A runner that tells how far the search is."""

    def __init__(self, runner: Any, this: Step, total: int) -> None:
        self._runner = runner
        self._step = this
        self._total = total
        self.done = 0

    def run(self, inputs: Any) -> Any:
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
