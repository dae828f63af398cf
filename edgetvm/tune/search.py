"""The search itself, in a process of its own: `python -m edgetvm.tune.search`.

TVM's search cannot be stopped by Ctrl-C without dying, and may die by itself: here that costs the
search, not its caller. The job is one line of JSON on stdin; what happens is told as lines of JSON
on stdout. The process and all that it started end with the caller.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetvm.base.errors import BoardError, BoardGoneError
from edgetvm.base.frames import quick_frames
from edgetvm.farm.parent import die_with_parent
from edgetvm.farm.tracker_client import Address, registered_keys, request_board
from edgetvm.tune.builder import WarmBuilder

if TYPE_CHECKING:
    from tvm.ir import IRModule

# A candidate that takes longer is none worth having.
_SESSION_LIMIT_S = 60
_RETURN_DEADLINE_S = 3.0

# Where lines are told: the real stdout, which TVM must not write to.
_told = os.fdopen(os.dup(1), "w", buffering=1)


def tell(**what: object) -> None:
    """Tell the caller."""
    _told.write(json.dumps(what) + "\n")


def search(job: dict[str, Any]) -> None:
    """Run a MetaSchedule search.

    Args:
        job: `module` and `target` as TVM's JSON, `tracker` as HOST:PORT, `key`, `trials`,
            `database` and `scratch` (folders), `functions` (their
            grade).

    Raises:
        BoardError: the board's server is gone for good.
    """
    quick_frames()
    import tvm
    from tvm.s_tir import meta_schedule

    logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
    module, trials = tvm.ir.load_json(job["module"]), job["trials"]
    tracker = Address.parse(job["tracker"])
    runner = meta_schedule.runner.RPCRunner(
        meta_schedule.runner.RPCConfig(
            tracker_host=tracker.host,
            tracker_port=tracker.port,
            tracker_key=job["key"],
            session_timeout_sec=_SESSION_LIMIT_S,
        ),
        max_workers=1,
        initializer=quick_frames,
        f_create_session=_create_session,
    )
    counting = _Counting(runner, tracker, job["key"])
    cores = len(os.sched_getaffinity(0))
    with WarmBuilder(cores, Path(job["scratch"]), job["functions"]) as builder:
        try:
            meta_schedule.relax_integration.tune_relax(
                mod=module,
                params={},
                target=tvm.ir.load_json(job["target"]),
                work_dir=job["database"],
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


def _kernels(module: IRModule) -> int:
    from tvm import tirx

    return max(1, sum(isinstance(one, tirx.PrimFunc) for one in module.functions.values()))


class _Counting:
    """A runner that tells how far the search is, and stops it when the board is gone."""

    def __init__(self, runner: Any, tracker: Address, key: str) -> None:
        self._runner = runner
        self._server = (tracker, key)
        self.lost: BoardError | None = None
        self._done = 0

    def run(self, inputs: Any) -> Any:
        try:
            _wait_for_server(*self._server)
        except BoardError as error:
            self.lost = error
            raise
        self._done += len(inputs)
        tell(trials=self._done)
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


def main() -> None:
    """Search as stdin says."""
    # Not through sys.stdin: what it read ahead would be lost to the watch on the pipe.
    job = b""
    while not job.endswith(b"\n"):
        part = os.read(0, 1 << 20)
        if not part:
            sys.exit(1)
        job += part
    die_with_parent()
    os.dup2(2, 1)
    try:
        search(json.loads(job))
    except BoardError as error:
        told = {"kind": type(error).__name__, "what": error.what, "where": error.where}
        tell(error={**told, "mend": error.mend})
    except Exception as error:  # whatever TVM raises must reach the caller in words
        reason = str(error).strip().splitlines() or [type(error).__name__]
        tell(error={"kind": "CompileError", "what": f"the search failed: {reason[-1]}"})
    else:
        tell(finished=True)


if __name__ == "__main__":
    main()
