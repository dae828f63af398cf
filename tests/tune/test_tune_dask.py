"""Candidates built on a Dask cluster: a scheduler and workers that are processes, and may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from brought_rules import MODULE, bring, forgotten  # noqa: F401 - a fixture
from made_models import write_product
from real_board import alive, within
from real_command import COMMAND

from edgetvm.base.errors import MissingToolError, UsageError
from edgetvm.boards import load_profile
from edgetvm.compile import CompileOptions
from edgetvm.compile.tuned import KernelChoice
from edgetvm.tune import TuningDatabase, building, conditions_of
from edgetvm.tune.building import BuildJob, DaskBuilder

pytestmark = [pytest.mark.board, pytest.mark.usefixtures("forgotten")]

# A build takes so long that a worker is surely killed in the middle of one; one kills its process.
_RULE = """
import os, signal, sys, time
from tvm import s_tir

def product(function, profile, decisions):
    deadly = decisions.choose("deadly", ("no", "yes"), "no")
    lanes = decisions.choose("lanes", tuple(range(6)), 0)
    if "edgetvm.base.worker" in sys.orig_argv:
        time.sleep(0.3)
        if (deadly, lanes) == ("yes", 3):
            os.kill(os.getpid(), signal.SIGKILL)
    return s_tir.Schedule(function)
"""
_TRIALS = 12
_JOB = BuildJob("{}", KernelChoice("rule"), load_profile("local"), CompileOptions())


class Cluster:
    """A scheduler and two workers without nannies: whoever dies stays dead."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        local = ("--local-directory", str(folder / "scratch"))
        self.workers = [
            self._start("worker", "--no-nanny", "--nthreads", "1", *local) for _ in range(2)
        ]
        assert within(60, self._file.exists)
        self.address = json.loads(self._file.read_text())["address"].removeprefix("tcp://")

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self._file)]
        return subprocess.Popen(
            [*command, "--no-dashboard", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def builder(self, workers: int) -> DaskBuilder:
        """As soon as it has so many."""
        found = list[DaskBuilder]()

        def connected() -> bool:
            try:
                found.append(DaskBuilder(self.address))
            except UsageError:
                return False
            if found[-1].workers != workers:
                found.pop().close()
            return bool(found)

        assert within(60, connected)
        return found[-1]

    def stop(self) -> None:
        """End what is left of it."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


def builders(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """What a Dask worker builds in; none before its first candidate."""
    return psutil.Process(worker.pid).children()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One whose workers have the rule."""
    bring(tmp_path, monkeypatch, "my product", f"{MODULE}:product", _RULE)
    made = Cluster(tmp_path)
    yield made
    made.stop()


def test_a_search_builds_on_a_cluster_and_what_dies_there_costs_itself_alone(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.builder(workers=2).close()
    path, model = tmp_path / "tuning.sqlite", write_product(tmp_path / "product.onnx")
    here = conditions_of(load_profile("local"))
    command = [*COMMAND, "tune", str(model), "--trials", str(_TRIALS), "--json"]
    command += ["--builders", f"dask://{cluster.address}", "--database", str(path)]
    with TuningDatabase(path) as database:
        search = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert within(120, lambda: len(database.trials(here)) >= 2 or search.poll() is not None)
        killed_after = len(database.trials(here))
        # A Dask worker in the middle of a build: what it had is built by the other one.
        busy, other = sorted(cluster.workers, key=lambda one: not builders(one))
        own = builders(busy)
        busy.kill()
        out, said = search.communicate(timeout=120)
        trials = database.trials(here)
    assert search.returncode == 0, said.decode()
    assert own and within(5, lambda: not any(alive(one.pid) for one in own))
    assert killed_after < _TRIALS - 4
    told = json.loads(out)
    assert told["trials"] == len(trials) == _TRIALS
    assert told["outcomes"] == {"ok": _TRIALS - 1, "build error": 1}
    (failed,) = [one for one in trials if one.outcome != "ok"]
    assert failed.choice.decisions == {"deadly": "yes", "lanes": "3"}
    assert failed.error == "the builder died: SIGKILL"
    # Nobody but the cluster has built: this machine's own builders are not there.
    assert {one.choice.rule for one in trials} == {"my product"}

    monkeypatch.setattr(building, "_TIMEOUT_S", 0.5)
    monkeypatch.setattr(building, "_CLUSTER_S", 0.5)
    monkeypatch.setattr(building, "_CONNECT_S", 2)
    builder = cluster.builder(workers=1)
    try:
        other.kill()
        with pytest.raises(MissingToolError, match="has no workers any more") as caught:
            builder.submit(_JOB).result(30)
        assert f"dask://{cluster.address}" in str(caught.value) and "is kept" in str(caught.value)
        with pytest.raises(UsageError, match="has no workers"):
            DaskBuilder(cluster.address)
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(MissingToolError, match="is gone"):
                builder.submit(_JOB).result(30)
    finally:
        builder.close()
