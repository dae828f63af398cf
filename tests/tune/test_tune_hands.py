"""A search's runner on boards of a farm: lost with the lease, and there again with the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_kernels import compiled
from real_board import within
from served_boards import PROFILE, ServedFarm, served_farm

from edgetvm.farm.hands import in_hand
from edgetvm.farm.inventory import Board
from edgetvm.tune.jobs import How, Loadable, RunJob, Tensor
from edgetvm.tune.running import BoardRunner

_HOW = How(timeout_s=5.0, least_ms=0.1)
_SOURCE = "int __tvm_ffi_main(void *self, void *arguments, int count, void *result) { return 0; }"


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedFarm]:
    """A farm of two boards, which commands find."""
    with served_farm(tmp_path) as up:
        monkeypatch.setenv("EDGETVM_FARM", up.store.url)
        yield up


def test_a_board_that_is_taken_away_is_lost_and_runs_again_when_it_is_had_again(
    farm: ServedFarm, tmp_path: Path
) -> None:
    tensor = Tensor((4,), "float32")
    kernel = Loadable(compiled(tmp_path, "nothing", _SOURCE), (tensor, tensor))
    job = RunJob(kernel, kernel, _HOW)
    boards = [Board("a", PROFILE), Board("b", PROFILE)]
    with in_hand(boards, purpose="tune", wait_s=10) as (a, _):
        runner = BoardRunner(a)
        try:
            assert within(20, lambda: runner.run(job).outcome == "ok")
            farm.store.maintain("a", "the test", begins=True)
            farm.store.kick("a", "the test")
            assert within(20, lambda: runner.run(job).outcome == "board lost")
            ran = runner.run(job)
            assert (ran.outcome, ran.begun) == ("board lost", False), ran
            farm.store.maintain("a", "", begins=False)
            assert within(20, lambda: runner.run(job).outcome == "ok")
        finally:
            runner.close()
    assert within(10, lambda: farm.store.look().leases == ())
