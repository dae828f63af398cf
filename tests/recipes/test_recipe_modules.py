"""A recipe's own functions: what they may do, what they may not, and how they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import ConfigurationError, ModelUnreadableError, NotFoundError
from edgetvm.recipes import (
    DATA,
    ModelFile,
    decision_agreement,
    fetch,
    interpret,
    list_recipes,
    load_recipe,
    load_recipe_called,
    samples,
    score,
    with_folder,
)

# Names are taken once in a process: each test has its own.
MODULE = """\
import numpy as np
from edgetvm.recipes import DATA, METRICS, MODELS, POSTPROCESS, Sample

@MODELS.register("{name}.onnx")
def model(path):
    path.write_bytes(b"{name}")

@POSTPROCESS.register("{name}-two", like="top-k")
def two(recipe, outputs, sample):
    right = int(outputs["y"].item() > 0)
    return {{"classes": [{{"index": right, "label": str(right), "score": 1.0}}]}}

@DATA.register("{name}-steps")
def steps(*, count: int = 3, folder: str = "nowhere"):
    if count > 9:
        raise KeyError(count)
    return tuple(
        Sample(f"{{folder}} {{one}}", {{"x": np.full((1, 1), one, np.float32)}}, one)
        for one in range(count)
    )

@POSTPROCESS.register("{name}-sign", agreement=lambda a, b: 100.0 * (a["up"] == b["up"]))
def sign(recipe, outputs, sample, *, above: float = 0.0):
    return {{"up": bool(outputs["y"].item() > above), "exactly": outputs["y"].item()}}

@METRICS.register("{name}_right", reads="{name}-sign", best=1.0)
def right(prediction, sample):
    return float(prediction["up"] == (sample.label > 0))
"""
RECIPE = """\
name: series/{name}
task: forecasting
description: a model
licence: MIT
model: {{path: m.onnx}}
module: {name}.py
data: {{name: {name}-steps, count: 2}}
postprocess: {{name: {name}-sign}}
metrics: [{name}_right]
accept: {{{name}_right: 0.5}}
"""


def written(folder: Path, name: str, module: str = MODULE) -> Path:
    """The file of a recipe in `folder/recipes/series`, with its module beside it."""
    place = folder / "recipes" / "series"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.py").write_text(module.format(name=name))
    path = place / f"{name}.yaml"
    path.write_text(RECIPE.format(name=name))
    return path


def test_a_recipe_has_its_own_functions(tmp_path: Path) -> None:
    recipe = load_recipe(str(written(tmp_path, "own")))
    assert recipe.module == tmp_path / "recipes/series/own.py"
    found = samples(recipe)
    assert [one.label for one in found] == [0, 1]
    up, higher, down = (
        interpret(recipe, {"y": np.array([value])}, found[0]) for value in (0.1, 0.2, -0.1)
    )
    assert decision_agreement(recipe, up, higher) == 100
    assert decision_agreement(recipe, up, down) == 0
    assert score(recipe, [down, up], found) == {"own_right": 1.0}
    assert samples(with_folder(recipe, tmp_path))[0].name == f"{tmp_path} 0"
    # Read again, it is the same: modules run once.
    assert load_recipe(str(tmp_path / "recipes/series/own.yaml")) == recipe


def test_code_of_the_current_folder_runs_only_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "found", "raise SystemError('run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGETVM_RECIPES", raising=False)
    (listed,) = (one for one in list_recipes() if one.name == "series/found")
    assert (listed.task, listed.data, listed.metrics) == ("forecasting", None, ())
    with pytest.raises(ConfigurationError, match=r"lies in the current folder \(name its file"):
        load_recipe("series/found")
    with pytest.raises(ConfigurationError, match=r"found\.py:1: SystemError: run"):
        load_recipe("recipes/series/found.yaml")
    with pytest.raises(NotFoundError, match="no recipe is called"):
        load_recipe_called("recipes/series/found.yaml")
    monkeypatch.setenv("EDGETVM_RECIPES", str(tmp_path / "recipes"))
    with pytest.raises(ConfigurationError, match="SystemError"):
        load_recipe("series/found")


def test_what_fails_registers_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "halfway", MODULE + "\n1 / 0\n")
    with pytest.raises(ConfigurationError, match=r"halfway.py:\d+: ZeroDivisionError: .*own code"):
        load_recipe(str(path))
    assert "halfway-steps" not in DATA.names()
    assert not any("halfway" in name for name in sys.modules)
    path = written(tmp_path, "unclear", "def (")
    with pytest.raises(ConfigurationError, match=r"unclear\.py:1: SyntaxError"):
        load_recipe(str(path))
    path.with_suffix(".py").unlink()
    with pytest.raises(ConfigurationError, match="no such Python file"):
        load_recipe(str(path))


def test_its_model_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = written(tmp_path, "making")
    path.write_text(path.read_text().replace("{path: m.onnx}", "{made_by: making.onnx}"))
    made = fetch(load_recipe(str(path)).model)
    assert (made.name, made.read_bytes()) == ("making.onnx", b"making")
    made.write_bytes(b"kept")
    assert fetch(load_recipe(str(path)).model).read_bytes() == b"kept"
    with pytest.raises(ModelUnreadableError, match=r"making.onnx: its SHA-256 is .* says 0000"):
        fetch(ModelFile(made_by="making.onnx", sha256="0" * 64))
    with pytest.raises(ConfigurationError, match=r"nothing makes other.onnx"):
        fetch(ModelFile(made_by="other.onnx"))


def test_metrics_of_a_postprocess_that_it_is_like(tmp_path: Path) -> None:
    path = written(tmp_path, "alike")
    text = path.read_text().replace("alike-sign", "alike-two").replace("alike_right", "top1")
    path.write_text(text)
    recipe = load_recipe(str(path))
    found = samples(recipe)
    up, down = (interpret(recipe, {"y": np.array([value])}, found[0]) for value in (1, -1))
    assert score(recipe, [down, down], found) == {"top1": 0.5}
    assert decision_agreement(recipe, up, down) == 0


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    load_recipe(str(written(tmp_path, "taken")))
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigurationError, match=r"taken.py has a model called 'taken.onnx'"):
        load_recipe(str(written(tmp_path / "other", "taken")))


def test_its_own_functions_fail_in_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "failing")
    path.write_text(path.read_text().replace("count: 2", "count: 10"))
    with pytest.raises(ConfigurationError, match=r"failing.py:\d+: KeyError: 10 \(this is"):
        samples(load_recipe(str(path)))
    path.write_text(path.read_text().replace("count: 10", "count: few"))
    with pytest.raises(ConfigurationError, match=r"yaml:7: data.count is 'few'"):
        load_recipe(str(path))
    text = path.read_text().replace("count: few", "count: 1")
    path.write_text(text.replace("failing.py", "failing.so"))
    with pytest.raises(ConfigurationError, match=r"data.name is 'failing-steps'|module is"):
        load_recipe(str(path))
