"""Threads of a run on cores of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

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
        workers = cores._POOLS[threading.get_native_id()]
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


def test_one_thread_is_left_alone() -> None:
    def run() -> int:
        return 7

    assert cores.apart(run, 1) is run
    assert cores.apart(run, 1 + len(os.sched_getaffinity(0))) is run
