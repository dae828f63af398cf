"""What tests that need a board share: the local one, small packages, and looks at processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
from numpy.typing import NDArray

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.farm import Board, LocalBoard
from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.package.archive import Package, verify_package
from edgetvm.package.assembly import build_package
from edgetvm.package.gate import check

Answers = dict[str, NDArray[np.generic]]


def imported(path: Path, states: Mapping[str, str] | None = None) -> Model:
    """A model as the importer gives it."""
    return import_model(path, ImportOptions(states=dict(states or {})))


def packaged(
    path: Path, states: Mapping[str, str] | None = None, profile: str = "local"
) -> Package:
    """A model file compiled, checked and packaged, without a cache."""
    model = imported(path, states)
    artifact = compile_model(model, load_profile(profile))
    checked = check(artifact, model)
    return verify_package(
        build_package(artifact, checked.correctness, checked.sample_inputs, checked.sample_outputs),
        path.name,
    )


def onnx_runtime(path: Path, inputs: Mapping[str, NDArray[np.generic]]) -> Answers:
    """What ONNX Runtime itself answers, by output name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(None, dict(inputs)), strict=True))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


# What may befall a package on its way to a board.
DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "flipped": _flipped,
    "empty": lambda _: b"",
    "not a package": lambda _: b"MZ" * 500,
}


def within(seconds: float, truth: Callable[[], object]) -> bool:
    """Whether something becomes true in time."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        if truth():
            return True
        time.sleep(0.02)
    return bool(truth())


def alive(pid: int) -> bool:
    """Whether a process runs (one that only waits to be reaped does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def group(leader: int) -> list[int]:
    """The live processes of a process group."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == leader and alive(pid):
                found.append(pid)
        except ProcessLookupError:
            continue
    return found


def naming(text: str) -> list[int]:
    """The live processes that have `text` in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(text in word for word in process.info["cmdline"] or []) and alive(process.pid):
            found.append(process.pid)
    return found


def session_process(local: LocalBoard) -> psutil.Process:
    """The process of the session that the board serves now."""
    server = psutil.Process(local.processes["server"].pid)
    assert within(5, server.children)
    return server.children()[0]


@pytest.fixture(scope="session")
def local_board() -> Iterator[LocalBoard]:
    """A local board that tests share: each leaves it free and whole."""
    with LocalBoard() as local:
        yield local


@pytest.fixture
def fresh_board() -> Iterator[LocalBoard]:
    """A local board of the test's own, to be broken."""
    with LocalBoard() as local:
        yield local


@pytest.fixture
def board(local_board: LocalBoard) -> Board:
    """The shared board as an inventory shows it."""
    return local_board.board


@pytest.fixture(scope="session")
def tiny_package(tiny_onnx: Path) -> Package:
    """The tiny model for this machine."""
    return packaged(tiny_onnx)


@pytest.fixture(scope="session")
def stateful_package(stateful_onnx: Path) -> Package:
    """The accumulator for this machine, its sum carried from chunk to chunk."""
    return packaged(stateful_onnx, {"sum": "total"})
