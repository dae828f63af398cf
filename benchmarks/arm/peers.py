"""The peers' side: wheels of another architecture in its Python, ncnn built for 32-bit ARM."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.arm import ncnn32
from benchmarks.arm.boards import Board
from benchmarks.arm.emulator import Counted, counted
from benchmarks.arm.systems import SITE, system
from benchmarks.latency.engines import engine_called, settings
from edgetvm.base.pins import installed_version
from edgetvm.measure.peers.case import Arrays, Case, Task
from edgetvm.measure.peers.ncnn_ import files

_PEERS = {"arm64": ("onnxruntime", "litert", "ncnn"), "armhf": ("ncnn",)}
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def tasks(board: Board, case: Case) -> list[Task]:
    """What is run of the peers that have a build for the board and read the case."""
    return [
        Task(name, setting, case, 1)
        for name in _PEERS[board.debian]
        for setting in settings(engine_called(name), case, 1)
    ]


def version(task: Task) -> str:
    """Of the task's engine: the one that is installed here."""
    return installed_version(engine_called(task.engine).package) or ""


def run(board: Board, task: Task, folder: Path, timeout_s: float) -> tuple[Counted, Arrays]:
    """Count the runs of one peer.

    Raises:
        Unavailable: it cannot run the model.
    """
    if task.engine == "ncnn":
        files(task)  # here: pnnx has no build for the board
    if board.debian == "armhf":
        return ncnn32.run(board, task, folder, timeout_s)
    root = system(board, folder)
    python = next((root / "usr/bin").glob("python3.*[0-9]"))
    package = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as scratch:
        told, answers = Path(scratch, "task"), Path(scratch, "answers.npz")
        told.write_bytes(pickle.dumps(task))
        found = counted(
            board,
            root,
            [str(python), "-m", "benchmarks.arm.guest", str(told), str(answers)],
            timeout_s,
            {"PYTHONPATH": f"{package}:{root / SITE}", "PYTHONDONTWRITEBYTECODE": "1"}
            | _ONE_THREAD,
        )
        with np.load(answers) as arrays:
            return found, [arrays[name] for name in arrays.files]
