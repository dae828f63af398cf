"""Pipelines: two small models that take turns on a real board."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from real_command import edgetvm

from edgetvm.base.errors import AccuracyError, ConfigurationError, NotFoundError
from edgetvm.farm import Board, LocalBoard
from edgetvm.measure.pipelines import PipelineRun
from edgetvm.recipes import list_pipelines, load_pipeline
from edgetvm.report import pictures, pipeline_document, render_pipeline
from edgetvm.workflow import work_through

MODULE = """\
import numpy as np
from edgetvm.recipes import DATA, METRICS, PIPELINES, Sample

@DATA.register("turns-numbers")
def numbers(*, count: int):
    def picture(one):
        return np.full((20, 30, 3), one, np.uint8)
    return tuple(
        Sample(f"<b>{one}", picture(one), [2.0 * one + 1, 2.0 * one + 3]) for one in range(count)
    )

@METRICS.register("turns_share", reads="values", best=1.0)
def share(prediction, sample):
    return 0.25

@PIPELINES.register("turns-twice", reads="values")
def twice(stages, sample, *, most: int = 9):
    x = np.full((1, 2), sample.value[0, 0, 0], np.float32)
    x[0, 1] += 1
    if x[0, 0] > most:
        raise KeyError("too many")
    x = stages["double"].run({"x": x})["y"]
    values = stages["more"].run({"x": x})["y"].ravel().tolist()
    return {"values": values, "boxes": [[1, 1, 9, 9]], "texts": ["<b>seen"]}
"""
RECIPE = """\
name: turns/{name}
task: arithmetic
description: made
licence: MIT
model: {{path: {name}.onnx}}
"""
PIPELINE = """\
name: turns/both
task: arithmetic
description: doubles, then adds one
module: both.py
stages: {double: turns/double, more: turns/more}
steps: {name: turns-twice}
data: {name: turns-numbers, count: 3}
metrics: [mean_absolute_error]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("turns")
    for kind in ("recipes", "pipelines"):
        (root / kind / "turns").mkdir(parents=True)
    for name, step in (("double", "Add(x, x)"), ("more", "Add(x, one)")):
        text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2] x) => (float[1,2] y) <float[1] one = {{1.0}}> {{ y = {step} }}"""
        onnx.save(onnx.parser.parse_model(text), root / "recipes" / "turns" / f"{name}.onnx")
        (root / "recipes" / "turns" / f"{name}.yaml").write_text(RECIPE.format(name=name))
    (root / "pipelines" / "turns" / "both.py").write_text(MODULE)
    (root / "pipelines" / "turns" / "both.yaml").write_text(PIPELINE)
    return root


@pytest.fixture(autouse=True)
def _folders(folder: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETVM_RECIPES", str(folder / "recipes"))
    monkeypatch.setenv("EDGETVM_PIPELINES", str(folder / "pipelines"))


@pytest.fixture(scope="module")
def made(folder: Path, local_board: LocalBoard, shared_cache: Path) -> PipelineRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGETVM_RECIPES", str(folder / "recipes"))
        patch.setenv("EDGETVM_PIPELINES", str(folder / "pipelines"))
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        return work_through(load_pipeline("turns/both"), local_board.board)


@pytest.mark.board
def test_stages_take_turns_on_the_board(made: PipelineRun) -> None:
    assert [one["values"] for one in made.predictions] == [[1, 3], [3, 5], [5, 7]]
    assert made.metrics == {"mean_absolute_error": 0.0, "decision_agreement_pct": 100.0}
    assert {name: one.model for name, one in made.stages.items()} == {
        "double": "turns/double",
        "more": "turns/more",
    }
    assert all(len(one.runs_ns) == 3 and min(one.runs_ns) > 0 for one in made.stages.values())
    assert made.around_s > 0
    assert made.signal_s is made.real_time_factor is None


@pytest.mark.board
def test_the_page_draws_what_was_found_and_loads_nothing(made: PipelineRun) -> None:
    page = render_pipeline(made)
    assert page.count("data:image/png;base64,") == 3
    assert "<b>" not in page.replace("<b>&", "")
    assert "https://" not in page
    assert pictures(made)[0].startswith(b"\x89PNG")
    document = json.loads(json.dumps(pipeline_document(made)))
    assert document["stages"]["more"]["runs_ns"] == list(made.stages["more"].runs_ns)


@pytest.mark.board
def test_less_accuracy_than_accepted_is_refused(board: Board) -> None:
    pipeline = load_pipeline("turns/both")
    harder = replace(pipeline, metrics=("turns_share",), accept={"turns_share": 0.5})
    with pytest.raises(AccuracyError, match=r"turns_share is 0\.25, .* at least 0\.5"):
        work_through(harder, board)


def test_names_are_looked_for_and_code_is_not_run_to_list(folder: Path) -> None:
    assert "turns/both" in [one.name for one in list_pipelines()]
    with pytest.raises(NotFoundError, match="turns/bot"):
        load_pipeline("turns/bot")
    done = edgetvm("pipelines", "list", "--json")
    assert done.code == 0, done.err
    (listed,) = (one for one in json.loads(done.out) if one["name"] == "turns/both")
    assert listed["stages"] == {"double": "turns/double", "more": "turns/more"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("metrics: [top1]", "metrics"),
        ("accept: {top1: 1}", "accept"),
        ("stage: {}", "did you mean 'stages'"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "pipelines" / "wrong.yaml"
    path.parent.mkdir()
    path.write_text(
        "name: wrong\ntask: a\ndescription: b\nstages: {one: turns/more}\n"
        f"steps: {{name: find-points}}\n{line}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(str(path))
    assert caught.value.where == f"{path}:6"
    assert told in str(caught.value)


def test_a_stage_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "pipelines" / "files.yaml"
    path.parent.mkdir()
    path.write_text("name: files\ntask: a\ndescription: b\nstages: {one: recipes/evil.yaml}\n")
    with pytest.raises(ConfigurationError, match=r"name of a recipe, not its file"):
        load_pipeline(str(path))
