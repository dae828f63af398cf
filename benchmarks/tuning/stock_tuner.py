"""In a process of its own: MetaSchedule as TVM has it, on a model, until it is ended.

    python -m benchmarks.tuning.stock_tuner MODEL FOLDER HOST:PORT KEY PROFILE THREADS PER_ITERATION

Writes to FOLDER `trials.jsonl`, a line for each measured trial, beside MetaSchedule's own database.
The settings are the best that were found for it: a builder process for each core, a limit of time
that its slow start fits into, and repetitions as long as edgetvm's.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from edgetvm.base.workers import end_with_owner

# The builder's processes need half a minute until they are ready, on a busy machine more.
_BUILD_TIMEOUT_S = 300.0
_RUN_TIMEOUT_S = 30
_MOST_TRIALS = 1_000_000
NOTES = "trials.jsonl"


def main() -> None:
    """Tune."""
    end_with_owner()
    model_file, folder, tracker, key, profile, threads, per_iteration = sys.argv[1:]
    from tvm import relax
    from tvm.s_tir import meta_schedule as ms

    from edgetvm.boards.profile import load_profile
    from edgetvm.compile import target_for
    from edgetvm.models import import_model
    from edgetvm.tune.jobs import How

    model = import_model(Path(model_file))
    target = target_for(dataclasses.replace(load_profile(profile), cores=int(threads)))
    # It tunes kernels, and makes none by itself.
    with target:
        fused = relax.get_pipeline("zero")(model.module)
    host, _, port = tracker.rpartition(":")
    # Whole milliseconds, no less than ours.
    least_ms = math.ceil(How().least_ms)
    how = ms.runner.EvaluatorConfig(number=1, repeat=5, min_repeat_ms=least_ms)
    rpc = ms.runner.RPCConfig(host, int(port), key, session_timeout_sec=_RUN_TIMEOUT_S)
    _note_trials(Path(folder) / NOTES)
    ms.relax_integration.tune_relax(
        fused,
        {},
        target,
        folder,
        max_trials_global=_MOST_TRIALS,
        num_trials_per_iter=int(per_iteration),
        builder=ms.builder.LocalBuilder(timeout_sec=_BUILD_TIMEOUT_S),
        runner=ms.runner.RPCRunner(rpc, how, max_workers=1),
    )


def _note_trials(path: Path) -> None:
    """Have RPCRunner's pool note when each trial ended. MetaSchedule itself says nothing of a trial
    before it comes back to its task."""
    from tvm.s_tir.meta_schedule.runner import rpc_runner

    class Noting(rpc_runner.PopenPoolExecutor):  # type: ignore[misc]
        def submit(self, work: Any, *arguments: Any, **more: Any) -> Future[Any]:
            future: Future[Any] = super().submit(work, *arguments, **more)
            if work is rpc_runner._worker_func:
                future.add_done_callback(note)
            return future

    def note(future: Future[Any]) -> None:
        ok = not future.cancelled() and future.exception() is None
        with path.open("a") as file:
            file.write(json.dumps({"at": time.time(), "ok": ok}) + "\n")

    rpc_runner.PopenPoolExecutor = Noting


if __name__ == "__main__":
    main()
