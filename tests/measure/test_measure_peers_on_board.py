"""Peers on a board that SSH leads to: brought, timed there, and why not."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from real_board import imported, within
from real_sshd import Sshd
from ssh_board import server, ssh_board  # noqa: F401 - fixtures are found by their names here

from edgetvm.base.errors import BoardError, BoardStorageError, MissingToolError
from edgetvm.farm import Board
from edgetvm.farm.ssh import Connection
from edgetvm.measure import board_python, bringing, peers_on_board
from edgetvm.measure.board_python import BoardPython, packages_for, python_of
from edgetvm.measure.bringing import bring
from edgetvm.measure.peers import crew
from edgetvm.measure.peers.case import Case, Task
from edgetvm.measure.peers.preparing import prepared
from edgetvm.measure.peers_on_board import crew_on
from edgetvm.models.reference import Source

OLD_PI = BoardPython((3, 11), "armv7l", "glibc 2.36")


@pytest.fixture
def tasks(tiny_onnx: Path, session_cache: Path) -> list[Task]:
    """A real peer, and one that reads no such file."""
    case = prepared(Source.of(imported(tiny_onnx)), {"image": np.ones((1, 3, 8, 8), np.float32)})
    return [Task(name, "", case, 1) for name in ("onnxruntime", "litert")]


def in_place(python: BoardPython, requirement: str) -> Path:
    """The board's Python has all packages: nothing needs to be fetched."""
    folder = Path.cwd() / "wheels"
    folder.mkdir(exist_ok=True)
    (folder / "requirement").write_text(requirement)
    return folder


def test_a_peer_is_brought_and_timed_there(
    server: Sshd,  # noqa: F811
    ssh_board: Board,  # noqa: F811
    tasks: list[Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peers_on_board, "packages_for", in_place)
    lost: dict[str, str] = {}
    with crew_on(ssh_board, tasks, lambda task, why: lost.update({task.engine: why})) as runners:
        (runner,) = runners
        assert runner.task is tasks[0]
        assert runner.error < 1e-5
        samples = runner.turn(0.0, 0.02, 3)
        assert len(samples) >= 3
        assert min(samples) > 0
        (worker,) = (one for one in server.processes() if is_worker(one))
        # Asleep when it is not its turn.
        assert worker.status() == psutil.STATUS_STOPPED
    assert list(lost) == ["litert"]
    assert within(10, lambda: not worker.is_running() or worker.status() == "zombie")
    brought = sorted(path.name.split("-")[0] for path in (tmp_path / "brought").iterdir())
    assert brought == ["ai", "case", "code", "onnxruntime"]


def test_a_board_that_runs_no_peer_costs_only_the_peers(
    ssh_board: Board,  # noqa: F811
    tasks: list[Task],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its Python has no numpy: a wheel of another system's, say."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peers_on_board, "packages_for", in_place)
    broken = (
        f'#!/bin/sh\ncase "$*" in *on_board) set -- -S "$@";; esac\nexec {sys.executable} "$@"\n'
    )
    (tmp_path / "python").write_text(broken)
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(board_python, "PROGRAM", str(tmp_path / "python"))
    lost: dict[str, str] = {}
    with crew_on(ssh_board, tasks, lambda task, why: lost.update({task.engine: why})) as runners:
        assert runners == []
    assert set(lost) == {"onnxruntime", "litert"}
    assert "what runs peers there has ended: ModuleNotFoundError" in lost["onnxruntime"]


def is_worker(process: psutil.Process) -> bool:
    """Whether a peer is loaded in it."""
    return "edgetvm.measure.peers.worker" in process.cmdline()


def test_a_board_without_python_or_with_an_old_one_says_so(
    ssh_board: Board,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Connection(ssh_board) as connection:
        found = python_of(connection)
        assert found.version == sys.version_info[:2]
        monkeypatch.setattr(board_python, "PROGRAM", str(tmp_path / "none"))
        with pytest.raises(BoardError, match=r"no .*none runs there: .*not found.*leave --peer"):
            python_of(connection)
        old = tmp_path / "old"
        old.write_text('#!/bin/sh\necho \'[[3, 9], "armv7l", "glibc 2.31"]\'\n')
        old.chmod(old.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(board_python, "PROGRAM", str(old))
        with pytest.raises(BoardError, match=r"need Python 3\.11: it has Python 3\.9, armv7l"):
            python_of(connection)


def test_a_folder_is_brought_once(ssh_board: Board, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_bytes(b"\0of a board\n" * 1000)
    with Connection(ssh_board) as connection:
        place = bring(connection, "a-1", {"x/y": tmp_path / "file", "z": b""}, "a thing")
        there = Path(place)
        assert (there / "x/y").read_bytes() == (tmp_path / "file").read_bytes()
        assert sorted(path.name for path in there.parent.iterdir()) == ["a-1"]
        (there / "z").write_bytes(b"as it was")
        assert bring(connection, "a-1", {"z": b"another"}, "a thing") == place
        assert (there / "z").read_bytes() == b"as it was"


def test_two_that_bring_the_same_at_once_do_not_mix_it(tmp_path: Path) -> None:
    files: dict[str, Path | bytes] = {f"{at}": os.urandom(1 << 18) for at in range(4)}
    data, folder = bringing._packed(files), tmp_path / "a thing"
    command = ["sh", "-c", bringing._unpacking(str(folder))]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as slow:
        assert slow.stdin is not None
        slow.stdin.write(data[: len(data) // 2])
        slow.stdin.flush()
        assert within(20, lambda: list(tmp_path.glob("*/0")))
        assert subprocess.run(command, input=data, check=False).returncode == 0
        slow.stdin.write(data[len(data) // 2 :])
        slow.stdin.close()
        assert slow.wait(20) == 0
    assert list(tmp_path.iterdir()) == [folder]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_wheels_are_those_of_the_board() -> None:
    assert OLD_PI.platforms[0] == "manylinux_2_36_armv7l"
    assert "manylinux2014_armv7l" in OLD_PI.platforms
    assert "manylinux_2_37_armv7l" not in OLD_PI.platforms
    assert BoardPython((3, 12), "aarch64", "").platforms == [
        "musllinux_1_2_aarch64",
        "musllinux_1_1_aarch64",
    ]


def test_a_wheel_that_there_is_not_is_told(session_cache: Path) -> None:
    with pytest.raises(MissingToolError, match=r"no wheel of onnxruntime.* for Python 3\.11, arm"):
        packages_for(OLD_PI, "onnxruntime==1.31.1")


def test_a_full_disk_costs_one_peer_and_leaves_nothing(
    ssh_board: Board,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = tmp_path / "full"
    full.write_text(
        '#!/bin/sh\ncase "$1" in -c) echo "No space left on device" >&2; exit 1;; esac\n'
    )
    full.chmod(full.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(board_python, "PROGRAM", str(full))
    with (
        Connection(ssh_board) as connection,
        pytest.raises(BoardStorageError, match="its disk is full"),
    ):
        bring(connection, "a-1", {"z": b""}, "a thing")
    assert list((tmp_path / "brought").iterdir()) == []


def test_a_late_answer_is_not_taken_for_the_next_one(ssh_board: Board) -> None:  # noqa: F811
    slow = "echo begun; read one; sleep 1; echo late; read two; echo two"
    with Connection(ssh_board) as connection, connection.held(slow, deadline_s=20) as held:
        with pytest.raises(TimeoutError):
            held.ask("one", 0.1)
        assert held.ask("two", 20) == ""


HANGING = """\
import time

class Hanging:
    facts = {}
    def outputs(self):
        return []
    def run(self):
        time.sleep(600)

def load(task):
    return Hanging()
"""


def test_a_peer_that_hangs_is_not_left_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hanging_peer.py").write_text(HANGING)
    monkeypatch.setattr(crew, "_TURN_GRACE_S", 0)
    case = Case("none", "fp32", tmp_path / "model.onnx", None, tmp_path / "data.npz", (), ())
    task = Task("hanging", "", case, 1, packages=str(tmp_path))
    lost: list[str] = []
    workers = crew.start([task], 1, 60, lambda _, why: lost.append(why), "hanging_peer")
    try:
        assert lost == []
        with pytest.raises(crew.WorkerLost, match="no answer"):
            workers[0].turn(0.0, 0.0, 1)
        assert workers[0].process.poll() is not None
    finally:
        crew.end(workers)
