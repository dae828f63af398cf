"""Runs a peer inside the emulated system: loads a task, and marks its runs for edgetvm's plugin.

    python -m benchmarks.arm.guest TASK ANSWERS

TASK is a pickled `edgetvm.measure.peers.case.Task`; ANSWERS gets the outputs. Nothing but numpy and
the peer is imported beside `edgetvm.measure.peers`.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

import edgetvm

_MARK = 0xED6E7300 - (1 << 32)
_BEGIN, _END = 1, 2
_RUNS = 4


def main() -> None:
    """Warm up, mark some runs one by one."""
    # The room itself would import what the emulated system has not.
    room = ModuleType("edgetvm.measure")
    room.__path__ = [str(Path(edgetvm.__file__).parent / "measure")]
    sys.modules["edgetvm.measure"] = room
    from edgetvm.measure.peers import load

    task = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - the caller wrote it
    loaded = load(task)
    mark, run = ctypes.CDLL(None).close, loaded.run
    np.savez(sys.argv[2], *loaded.outputs())
    run()
    mark(_MARK + _BEGIN)
    mark(_MARK + _END)
    for _ in range(_RUNS):
        mark(_MARK + _BEGIN)
        run()
        mark(_MARK + _END)


if __name__ == "__main__":
    main()
