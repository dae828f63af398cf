"""An experiment for real: a TFLite model crossed, killed, gone on with, searched, reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from litert import by_litert
from real_board import within
from real_command import COMMAND, edgetvm, refused

from edgetvm.measure import Store
from edgetvm.measure.experiment.file import load_experiment
from edgetvm.measure.experiment.ledger import Ledger
from edgetvm.measure.experiment.reading import last_asked
from edgetvm.report.experiment import write_experiment
from edgetvm.workflow import plan_experiment, run_experiment, stored_experiment

pytestmark = pytest.mark.board

_SAMPLES, _WRONG = 12, 3
_ROUNDS = 2
RECIPE = """\
name: dense
task: classification
description: a small model
licence: MIT
model: {path: %s}
data: {name: arrays, folder: %s, input: x, shape: [1, 6], dtype: float32}
postprocess: {name: top-k, labels: [a, b, c, d]}
metrics: [top1]
"""
EXPERIMENT = """\
name: small
description: a test
models:
  dense: {subject: dense.yaml}
targets:
  here: {profile: local}
  pi: {profile: rpi4}
baseline: {model: dense, target: here, opt_level: 1}
cross:
  - {opt_level: [1, 3], layout: [auto, NHWC]}
  - {precision: [fp16]}
  - {target: [pi]}
peers: [litert]
measure: {rounds: 2, runs: 5, max_s: 0.2}
"""


def labelled(path: Path, folder: Path) -> tuple[float, list[list[int]]]:
    """Data of the model, some labels of which are wrong on purpose.

    Returns:
        what LiteRT itself reaches on them: top1, and which of four labels it took for which class.
    """
    random = np.random.default_rng(7)
    folder.mkdir()
    counts = np.zeros((4, 4), int)
    lines = []
    for index in range(_SAMPLES):
        x = random.standard_normal((1, 6)).astype(np.float32)
        best = int(np.argmax(by_litert(path, [x])[0]))
        label = (best + 1) % 4 if index < _WRONG else best
        counts[label, best] += 1
        (folder / f"{index}.bin").write_bytes(x.tobytes())
        lines.append(f"{index}.bin,4,{label}\n")
    (folder / "y_labels.csv").write_text("".join(lines))
    return 1 - _WRONG / _SAMPLES, counts.tolist()


@pytest.fixture(scope="module")
def lab(dense_tflite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and an experiment of it."""
    folder = tmp_path_factory.mktemp("lab")
    labelled(dense_tflite, folder / "data")
    (folder / "dense.yaml").write_text(RECIPE % (dense_tflite, folder / "data"))
    (folder / "small.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module")
def home(lab: Path, shared_cache: Path) -> dict[str, str]:
    """Variables of folders of its own; what is built stays for other tests."""
    names = {"HOME": "", "XDG_CONFIG_HOME": "o", "XDG_DATA_HOME": "d"}
    own = {name: str(lab / "home" / folder) for name, folder in names.items()}
    return {**own, "XDG_CACHE_HOME": str(shared_cache)}


@pytest.fixture
def at_home(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the variables, too."""
    for name, folder in home.items():
        monkeypatch.setenv(name, folder)


def turns(store: Store) -> Counter[str]:
    """How many turns each part of the experiment has had."""
    ledger = Ledger(store)
    slots = last_asked(ledger, "small").slots
    return Counter({one.key: len(ledger.entries(one.key, "round")) for one in slots if one.key})


@pytest.fixture(scope="module")
def gone_on(lab: Path, home: dict[str, str]) -> dict[str, object]:
    """The experiment's document, after it was killed in its first turns and started again."""
    url = f"sqlite:///{lab / 'r.sqlite'}"
    command = [*COMMAND, "experiment", str(lab / "small.yaml"), "--store", url]
    killed = subprocess.Popen(
        command, env={**os.environ, **home}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    store = Store(url)
    try:
        assert within(120, lambda: _has_turns(store) or killed.poll() is not None)
        assert killed.poll() is None
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    before = turns(store)
    assert 0 < sum(before.values()) < 5 * _ROUNDS
    done = edgetvm("experiment", lab / "small.yaml", "--store", url, "--json", environment=home)
    assert done.code == 0, done.err
    after = turns(store)
    assert all(after[key] >= count for key, count in before.items())
    return {"document": done.document, "url": url, "sum": sum(after.values())}


def _has_turns(store: Store) -> bool:
    try:
        return sum(turns(store).values()) > 0
    except Exception:
        return False


def rows_of(found: dict[str, object]) -> list[dict[str, object]]:
    return found["document"]["rows"]  # type: ignore[index, no-any-return]


def test_all_variants_are_told_whatever_came_of_them(
    gone_on: dict[str, object], dense_tflite: Path, tmp_path: Path
) -> None:
    rows = rows_of(gone_on)
    states = Counter(row["state"] for row in rows)
    assert states == {"measured": 5, "failed": 1, "emulated": 1}
    (failed,) = [row for row in rows if row["state"] == "failed"]
    assert "has no arithmetic on vectors of float16" in str(failed["why"])
    top1, counts = labelled(dense_tflite, tmp_path / "data")
    for row in rows:
        if row["state"] == "failed":
            continue
        assert row["metrics"]["top1"] == pytest.approx(top1)  # type: ignore[index]
        confusion = row["confusion"]
        assert confusion["classes"] == ["a", "b", "c", "d"]  # type: ignore[index]
        assert confusion["counts"] == counts  # type: ignore[index]
    for row in rows:
        if row["state"] == "measured":
            assert len(row["rounds"]) >= _ROUNDS  # type: ignore[arg-type]
            assert row["beside_baseline"] is not None
    (far,) = [row for row in rows if row["state"] == "emulated"]
    assert (far["p50_ms"], far["beside_baseline"]) == (None, None)
    assert far["estimated"]["least_ms"] < far["estimated"]["ms"]  # type: ignore[index]


def test_nothing_is_measured_twice(gone_on: dict[str, object], lab: Path, at_home: None) -> None:
    store, experiment = Store(str(gone_on["url"])), load_experiment(str(lab / "small.yaml"))
    run_experiment(experiment, store)
    assert sum(turns(store).values()) == gone_on["sum"]
    planned = plan_experiment(experiment, store)
    assert [one.missing for one in planned if one.missing] == []
    # Of the one that cannot be.
    assert [bool(one.why) for one in planned].count(True) == 1


def test_reports_are_made_again_from_what_is_stored(
    gone_on: dict[str, object], home: dict[str, str], tmp_path: Path
) -> None:
    """Without the experiment's file, its model and its data."""
    url = str(gone_on["url"])
    stored = stored_experiment("small", Store(url))
    for suffix in ("html", "md", "csv", "json"):
        path = tmp_path / f"report.{suffix}"
        write_experiment(stored, path)
        assert "has no arithmetic on vectors of float16" in path.read_text()
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == gone_on["document"]
    unknown = edgetvm("experiment", "other", "--stored", "--store", url, environment=home)
    assert refused(unknown, 3, "other", "run it first")


def test_goals_end_the_search(
    gone_on: dict[str, object], lab: Path, home: dict[str, str], at_home: None
) -> None:
    """What is stored is likely; the two at -O0 would come last."""
    text = EXPERIMENT.replace("{precision: [fp16]}", "{opt_level: [0], layout: [auto, NHWC]}")
    text = text.replace("name: small", "name: search")
    path, store = lab / "search.yaml", Store(str(gone_on["url"]))
    path.write_text(f"{text}goals: {{max_package_kb: 10000}}\n")
    rows = run_experiment(load_experiment(str(path)), store).rows
    assert Counter(row.state for row in rows) == {"measured": 5, "emulated": 1, "left out": 2}
    assert all("met all goals before it" in row.why for row in rows if row.state == "left out")
    path.write_text(f"{text}goals: {{max_package_kb: 1}}\n")
    results = run_experiment(load_experiment(str(path)), store)
    assert Counter(row.state for row in results.rows)["compiled"] == 2
    done = edgetvm(
        "experiment", "search", "--stored", "--store", str(gone_on["url"]), environment=home
    )
    assert done.code == 1
    assert "No variant meets all goals" in done.err
