"""The local board: real processes that start, serve the stock client, and never stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from real_board import alive, group, naming, onnx_runtime, within

from edgetvm.base.errors import BoardError
from edgetvm.boards import load_profile
from edgetvm.compile.linker import link_shared
from edgetvm.compile.target import target_for
from edgetvm.farm import Board, LocalBoard, connect, connected, tracker_summary
from edgetvm.farm.tracker_client import registered_keys
from edgetvm.package.archive import Package

pytestmark = pytest.mark.board

OWNER = """
import time
from edgetvm.farm import LocalBoard
local = LocalBoard()
local.start()
print(*(process.pid for process in local.processes.values()), flush=True)
time.sleep(600)
"""


def test_a_stopped_board_leaves_no_process_and_no_zombie() -> None:
    with LocalBoard() as local:
        leaders = [process.pid for process in local.processes.values()]
        assert set(local.processes) == {"tracker", "server"}
        assert all(os.getpgid(pid) == pid for pid in leaders)
        assert local.key in registered_keys(local.tracker)
        with connect(local.board):
            # The session's process is of the server's group, and ends with it.
            assert within(5, lambda: len(group(leaders[1])) == 2)
    assert [pid for leader in leaders for pid in group(leader)] == []
    assert not any(psutil.pid_exists(pid) for pid in leaders)
    assert naming(local.key) == []


def test_a_stopped_board_can_be_started_again_and_stopped_twice() -> None:
    local = LocalBoard()
    for _ in range(2):
        local.start()
        assert tracker_summary(local.tracker)["server_info"]
        local.stop()
        local.stop()
        assert naming(local.key) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_board_dies_with_an_owner_that_is_killed(how: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    with owner:
        leaders = [int(word) for word in owner.stdout.readline().split()]
        assert len(leaders) == 2
        assert all(map(alive, leaders))
        owner.send_signal(how)
        assert owner.wait(20) != 0
        assert within(5, lambda: not any(group(leader) for leader in leaders))


def test_a_session_process_dies_with_a_killed_owner(tmp_path: Path, tiny_package: Package) -> None:
    package = tmp_path / "tiny.edgetvm"
    package.write_bytes(tiny_package.data)
    busy = f"""
from pathlib import Path
from edgetvm.farm import LocalBoard, connect
with LocalBoard() as local, connect(local.board) as session:
    session.open(Path({str(package)!r}).read_bytes(), None)
    print(local.processes["server"].pid, flush=True)
    session.time_runs(10**9, 60.0)
"""
    with subprocess.Popen(
        [sys.executable, "-c", busy],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        leader = int(owner.stdout.readline())
        assert len(group(leader)) == 2
        owner.kill()
        owner.wait()
        assert within(5, lambda: not group(leader))


def test_a_board_that_does_not_come_up_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tornado").mkdir()
    (tmp_path / "tornado" / "__init__.py").write_text("raise ImportError('no tornado today')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    local = LocalBoard()
    with pytest.raises(BoardError, match=r"the local board's tracker ended with exit code 1.*LOG"):
        local.start()
    assert local.processes == {}
    assert naming(local.key) == []


def test_the_stock_client_uploads_loads_runs_and_times_a_kernel(
    local_board: LocalBoard, tmp_path: Path
) -> None:
    import tvm
    from tvm import rpc, te

    source = te.placeholder((1000,), "float32", "source")
    result = te.compute((1000,), lambda i: source[i] * 3 + 1, "result")
    function = te.create_prim_func([source, result]).with_attr("global_symbol", "triple")
    built = tvm.compile(
        tvm.IRModule({"triple": function}), target=target_for(load_profile("local"))
    )
    library = tmp_path / "triple.so"
    built.export_library(str(library), fcompile=link_shared, workspace_dir=str(tmp_path))

    numbers = np.linspace(-5, 5, 1000, dtype=np.float32)

    # In a function of its own: nothing keeps the session when an assertion fails.
    def on_the_board() -> tuple[np.ndarray, tuple[float, ...], bytes]:
        tracker = rpc.connect_tracker(local_board.tracker.host, local_board.tracker.port)
        remote = tracker.request(local_board.key, session_timeout=60)
        remote.upload(str(library))
        module = remote.load_module("triple.so")
        device = remote.cpu(0)
        given = tvm.runtime.tensor(numbers, device)
        found = tvm.runtime.tensor(np.zeros(1000, np.float32), device)
        module["triple"](given, found)
        timing = module.time_evaluator("triple", device, number=3, repeat=4)(given, found)
        return found.numpy(), tuple(timing.results), bytes(remote.download("triple.so"))

    answer, times_s, sent_back = on_the_board()
    np.testing.assert_allclose(answer, numbers * 3 + 1, rtol=1e-5, atol=1e-6)
    assert len(times_s) == 4
    assert min(times_s) > 0
    assert sent_back == library.read_bytes()
    with connect(local_board.board) as session:
        assert session.facts()["last_exit_code"] is None


def test_two_sessions_one_after_the_other_answer_as_onnx_runtime(
    board: Board, tiny_package: Package, tiny_onnx: Path
) -> None:
    for seed in (1, 2):
        image = np.random.default_rng(seed).standard_normal((1, 3, 8, 8), np.float32)
        with connect(board) as session:
            opened = session.open(tiny_package.data, None)
            duration_ns, found = session.run({"image": image})
        assert min(opened.open_ns, opened.first_run_ns, duration_ns) > 0
        expected = onnx_runtime(tiny_onnx, {"image": image})
        assert list(found) == ["scores"]
        np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-4, atol=1e-5)
        by_runtime = onnx_runtime(tiny_onnx, tiny_package.sample_inputs)
        np.testing.assert_allclose(
            opened.outputs["scores"], by_runtime["scores"], rtol=1e-4, atol=1e-5
        )


def test_connected_starts_a_local_board_for_itself_and_ends_it(tiny_package: Package) -> None:
    with connected(Board("local", "local")) as session:
        key = session.board.key
        assert len(naming(key)) == 2  # the server and the session that it forked
        assert session.open(tiny_package.data, 1).outputs.keys() == {"scores"}
    assert within(5, lambda: naming(key) == [])


def test_timed_runs_count_or_stop_at_the_limit(board: Board, tiny_package: Package) -> None:
    with connect(board) as session:
        session.open(tiny_package.data, None)
        counted = session.time_runs(37, 60.0)
        assert counted.shape == (37,)
        assert counted.dtype == np.int64
        assert (counted > 0).all()
        limited = session.time_runs(10**9, 0.2)
        assert 0 < len(limited) < 10**9
        assert limited.sum() < 0.3e9
        assert session.time_runs(0, 1.0).shape == (0,)
        image = np.ones((1, 3, 8, 8), np.float32)
        assert len(session.time_runs(2, 1.0, {"image": image})) == 2
        assert session.peak_memory_bytes() > 0


def test_facts_are_this_machine_s(board: Board) -> None:
    with connect(board) as session:
        facts = session.facts()
    assert facts["machine"] == os.uname().machine
    assert facts["kernel"] == os.uname().release
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert f": {facts['cpu']}\n" in Path("/proc/cpuinfo").read_text()
    assert facts["load_average"] >= 0
