"""A MetaSchedule search over a model's kernels, each candidate run on a board through RPC."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgetvm.base import errors
from edgetvm.base.errors import BoardError, CompileError, MissingToolError
from edgetvm.base.files import storage_errors
from edgetvm.base.frames import quick_frames
from edgetvm.base.paths import data_folder
from edgetvm.base.steps import Step, step
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.target import target_for
from edgetvm.farm.inventory import Board

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
    module: IRModule,
    profile: BoardProfile,
    board: Board,
    trials: int,
    database: Path,
    options: CompileOptions = DEFAULTS,
) -> Tuned:
    """Search schedules for the kernels of an optimised module.

    Args:
        module: from `edgetvm.compile.compiler.optimise`.
        profile: of the board.
        board: with a tracker; its server runs the candidates.
        trials: candidates to measure, over all kernels; a round that was begun is finished.
        database: folder of records; added to where it exists.
        options: that the module was optimised with.

    Raises:
        BoardError: the board has no tracker, or its server is gone for good.
        CompileError: the search itself died.
        MissingToolError: xgboost is not installed.
        StorageError: the database cannot be written.
    """
    if board.tracker is None:
        raise BoardError("it has no tracker", where=board.name)
    if find_spec("xgboost") is None:
        raise MissingToolError(
            "xgboost, which ranks candidates, is not installed",
            mend="run: pip install 'edgetvm[tune]'",
        )
    with storage_errors(database):
        database.mkdir(parents=True, exist_ok=True)
    import tvm

    with (
        step(f"tune on {board.name}") as this,
        tempfile.TemporaryDirectory(prefix="edgetvm-candidates-") as scratch,
    ):
        job = {
            "module": tvm.ir.save_json(module),
            "target": tvm.ir.save_json(target_for(profile, options)),
            "functions": options.level.functions,
            "tracker": str(board.tracker),
            "key": board.key,
            "trials": trials,
            "database": str(database),
            "scratch": scratch,
        }
        done = _search(job, this)
        this.detail = f"{done} trials"
    return Tuned(database, done, _best(module, profile, database))


def _search(job: dict[str, object], this: Step) -> int:
    """Run the search in its own process. Answers with how many candidates were measured.

    Raises:
        BoardError, CompileError: what ended it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "edgetvm.tune.search"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL,
        start_new_session=True,
    )
    done, total, finished = 0, int(str(job["trials"])), False
    try:
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).write(json.dumps(job).encode() + b"\n")
            _pipe(process.stdin).flush()
        for line in _pipe(process.stdout):
            told = json.loads(line)
            if "error" in told:
                error = told["error"]
                kind = getattr(errors, error["kind"])
                raise kind(error["what"], where=error.get("where"), mend=error.get("mend"))
            finished = finished or "finished" in told
            if "trials" in told:
                done = told["trials"]
                this.advance(min(done, total), total, f"{done} trials")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()
    if not finished:
        raise CompileError(
            f"the search died after {done} trials",
            mend="run the same command again: what was recorded is kept",
        )
    return done


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream


def _best(module: IRModule, profile: BoardProfile, database: Path) -> tuple[TunedKernel, ...]:
    quick_frames()
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
