"""Threads of a run on cores of their own."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import graph, random
from onnx import helper

from edgetvm.boards import load_profile
from edgetvm.compile import compile_model
from edgetvm.models import import_model
from edgetvm.package import cores
from edgetvm.package.executor import Executor


@pytest.fixture
def all_cores() -> Iterator[set[int]]:
    """The cores of this process, which it gets back."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.fail("this test needs two cores")
    yield allowed
    os.sched_setaffinity(0, allowed)


def test_workers_leave_the_callers_core_to_it(tmp_path: Path, all_cores: set[int]) -> None:
    data, weights = random(1, 64, 48, 48), random(64, 64, 3, 3)
    nodes = [helper.make_node("Conv", ["x", "w"], ["out"], pads=[1, 1, 1, 1])]
    path = graph(tmp_path / "m.onnx", nodes, {"x": data}, {"w": weights})
    artifact = compile_model(import_model(path), load_profile("local"))
    seen: list[tuple[int, set[int]]] = []
    answers = []

    def use() -> None:
        # A thread of its own has a pool of its own, whose workers can be told from all others.
        executor = Executor(artifact.library, artifact.signature, len(all_cores))
        executor.set_inputs({"x": data})
        executor.run_ns()
        workers = cores._POOL.workers or ()
        assert len(workers) == len(all_cores) - 1
        for core in (*sorted(all_cores)[:2], min(all_cores)):
            os.sched_setaffinity(threading.get_native_id(), {core})
            executor.run_ns()
            seen.extend((core, os.sched_getaffinity(worker)) for worker in workers)
            answers.append(executor.outputs()["out"])

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(seen) == 3 * (len(all_cores) - 1)
    assert all(core not in own and own <= all_cores for core, own in seen)
    assert len(answers) == 3
    assert all(np.array_equal(one, answers[0]) for one in answers)
    # Threads that are started later may go anywhere.
    assert os.sched_getaffinity(0) == all_cores


def test_runs_of_one_thread_share_what_is_known_of_its_workers(all_cores: set[int]) -> None:
    """Workers that another run has sent to this one's core since are sent off it again."""
    first, second = sorted(all_cores)[:2]
    stop, seen = threading.Event(), []

    def work() -> None:
        ready.release()
        stop.wait()

    def use() -> None:
        def run() -> None:
            if not workers:
                workers.extend(threading.Thread(target=work) for _ in range(len(all_cores) - 1))
                for one in workers:
                    one.start()
                    ready.acquire()

        workers: list[threading.Thread] = []
        one, other = (cores.apart(run, len(all_cores)) for _ in range(2))
        one()
        for core, placing in ((first, one), (second, other), (first, one)):
            os.sched_setaffinity(threading.get_native_id(), {core})
            placing()
            ids = [worker.native_id or 0 for worker in workers]
            seen.append((core, [os.sched_getaffinity(worker) for worker in ids]))
        stop.set()

    ready = threading.Semaphore(0)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert [core for core, _ in seen] == [first, second, first]
    assert all(core not in own for core, owns in seen for own in owns)


def test_workers_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TVM's pool was there before, no later run lists the threads again."""
    counted = []
    looks = cores._tasks

    def counting() -> set[int]:
        counted.append(1)
        return looks()

    def use() -> None:
        run = cores.apart(lambda: None, 2)
        for _ in range(5):
            run()

    monkeypatch.setattr(cores, "_tasks", counting)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(counted) == 2


def test_one_thread_is_left_alone() -> None:
    def run() -> int:
        return 7

    assert cores.apart(run, 1) is run
    assert cores.apart(run, 1 + len(os.sched_getaffinity(0))) is run


def test_runs_share_their_work_among_fewer_threads_and_then_all(
    tmp_path: Path, all_cores: set[int]
) -> None:
    path = graph(
        tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["out"])], {"x": random(4, 4)}, {}
    )
    artifact = compile_model(import_model(path), load_profile("local"))
    shares: list[int] = []

    class Environment(ctypes.Structure):
        """TVM's `TVMParallelGroupEnv`."""

        _fields_ = (("sync_handle", ctypes.c_void_p), ("num_task", ctypes.c_int32))

    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_int, ctypes.POINTER(Environment), ctypes.c_void_p
    )

    def work(_task: int, environment: Any, _data: object) -> int:
        shares.append(environment.contents.num_task)
        return 0

    def use() -> None:
        import tvm.base

        launch = tvm.base._LOADED_LIBS["tvm_runtime"].TVMBackendParallelLaunch
        executor = Executor(artifact.library, artifact.signature, len(all_cores))
        for threads in (1, len(all_cores), 1 + len(all_cores)):
            executor.share_among(threads)
            launch(kind(work), None, 0)
            shares.append(-1)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    every = [len(all_cores)] * len(all_cores)
    assert shares == [1, -1, *every, -1, *every, -1]
