"""Candidates that crash, hang or raise on a real board, and boards that go, told apart."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from made_kernels import compiled

from edgetvm.farm import LocalBoard
from edgetvm.tune.jobs import How, Loadable, RunJob, Tensor
from edgetvm.tune.runner_process import Open, _Session
from edgetvm.tune.running import BoardRunner

pytestmark = pytest.mark.board

_HOW = How(timeout_s=2.0, least_ms=0.1)
_BODIES = {
    "fine": "return 0;",
    "crash": "*(volatile int *)0 = 1; return 0;",
    "hang": "for (volatile int i = 0;; i++) {} return 0;",
    "raise": 'TVMFFIErrorSetRaisedFromCStr("ValueError", "refused by the kernel"); return -1;',
}
_SOURCE = """
void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message);
int __tvm_ffi_main(void *self, void *arguments, int count, void *result) {{ {body} }}
"""


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loadable]:
    """Kernels made by hand, by what they do."""
    folder = tmp_path_factory.mktemp("kernels")
    tensor = Tensor((4,), "float32")
    return {
        name: Loadable(compiled(folder, name, _SOURCE.format(body=body)), (tensor, tensor))
        for name, body in _BODIES.items()
    }


@pytest.fixture
def runner(fresh_board: LocalBoard) -> Iterator[BoardRunner]:
    """Of a board of the test's own."""
    made = BoardRunner(fresh_board.board)
    yield made
    made.close()


def test_every_outcome_is_told_apart_and_the_next_candidate_runs(
    runner: BoardRunner, kernels: dict[str, Loadable]
) -> None:
    fine = kernels["fine"]
    for name, outcome in (("crash", "crash"), ("raise", "crash"), ("hang", "timeout")):
        ran = runner.run(RunJob(fine, kernels[name], _HOW))
        assert ran.outcome == outcome, ran
        assert ran.error
        after = runner.run(RunJob(fine, fine, _HOW))
        assert after.outcome == "ok", (name, after)
        assert len(after.times_ms) >= 5


def test_a_server_that_is_killed_in_the_middle_is_no_fault_of_the_candidate(
    fresh_board: LocalBoard, runner: BoardRunner, kernels: dict[str, Loadable]
) -> None:
    assert runner.run(RunJob(kernels["fine"], kernels["fine"], _HOW)).outcome == "ok"

    def kill() -> None:
        time.sleep(0.7)
        os.killpg(fresh_board.processes["server"].pid, signal.SIGKILL)
        os.killpg(fresh_board.processes["tracker"].pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    lost = runner.run(RunJob(kernels["fine"], kernels["hang"], How(timeout_s=10)))
    killing.join()
    assert (lost.outcome, lost.begun) == ("board lost", True), lost
    again = runner.run(RunJob(kernels["fine"], kernels["fine"], _HOW))
    assert (again.outcome, again.begun) == ("board lost", False), again


def test_slow_kernels_are_given_time_and_unknown_ones_some(kernels: dict[str, Loadable]) -> None:
    job = RunJob(kernels["fine"], kernels["fine"], How(timeout_s=10.0))
    assert job.allowed_s == 30
    assert replace(job, default_ms=0.5).allowed_s == 10
    assert replace(job, default_ms=1500.0).allowed_s == 50
    assert replace(job, default_ms=1500.0, rounds=7).allowed_s == 350


def test_a_session_that_allows_more_than_is_wanted_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed_s: list[float] = []

    def connect(session: _Session, wanted: Open) -> None:
        allowed_s.append(wanted.allowed_s)
        session._remote, session._key, session._until_s = object(), wanted.key, math.inf
        session._allowed_s = wanted.allowed_s

    monkeypatch.setattr(_Session, "_connect", connect)
    session = _Session()
    for one_s in (10.0, 30.0, 10.0, 30.0, 60.0):
        session.open(Open(one_s, 1.0, "127.0.0.1:9190", "board"))
    assert allowed_s == [10.0, 30.0, 60.0]
