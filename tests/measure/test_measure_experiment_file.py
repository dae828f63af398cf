"""Experiment files: what loads, what is crossed, and what errors say."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.base.paths import shipped_folder
from edgetvm.compile.options import Layout, OptLevel
from edgetvm.measure.experiment.file import Experiment, load_experiment
from edgetvm.measure.experiment.variants import AXES, Block, Place, Variant, crossed, placed
from edgetvm.workflow.schemas import schema

GOOD = """\
name: mine
description: what it is for
models:
  float: {subject: model.onnx}
  int8: {subject: model.onnx, quantize: {max_loss_pct: 1}}
targets:
  here: {profile: local}
  a53: {profile: beagleplay, board: my-board}
baseline: {model: float, target: here}
cross:
  - {model: [float, int8], layout: [NHWC, NCHW], opt_level: [0, 3]}
  - {target: [here, a53]}
peers: [litert]
goals: {min_time_saved_pct: 20, max_accuracy_lost_pct: 1, max_package_kb: 500}
questions:
  - ask: What does int8 bring?
    at: {layout: NCHW}
    first: {model: float}
    second: {model: int8}
  - ask: And the interpreter?
    first: {}
    second: {peer: litert}
"""
BASE = Variant("float", "here")
LAYOUTS: tuple[Layout, ...] = ("NHWC", "NCHW")
LEVELS: tuple[OptLevel, ...] = (0, 3)


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_says_which_variants_there_are(tmp_path: Path) -> None:
    found = load_experiment(written(tmp_path, GOOD))
    assert found.baseline == BASE
    assert found.models["float"].subject == str(tmp_path / "model.onnx")
    wanted = {
        Variant(model, "here", layout, level)
        for model in ("float", "int8")
        for layout in LAYOUTS
        for level in LEVELS
    }
    assert set(found.variants) == wanted | {BASE, replace(BASE, target="a53")}
    assert found.variants[0] == BASE
    jsonschema.validate(yaml.safe_load(GOOD), schema("experiment"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("goals: {min", "goals: {mim", ["unknown key goals.mim_time", "min_time_saved_pct"]),
        ("max_package_kb: 500", "max_package_kb: 500 kB", ["goals.max_package_kb", "number"]),
        ("pct: 20", "pct: 100", ["goals.min_time_saved_pct is 100", "less than 100"]),
        ("[here, a53]", "[here, a72]", ["cross[1].target is 'a72'", "one of: here, a53"]),
        ("layout: [NHWC", "layout: [NWHC", ["cross[0].layout[0]", "'NHWC'"]),
        ("[0, 3]", "[0, 5]", ["opt_level"]),
        ("peers: [litert]", "peers: [lite]", ["peers is 'lite'", "litert"]),
        ("{peer: litert}", "{peer: mnn}", ["questions[1].second.peer is 'mnn'", "one of: litert"]),
        ("second: {model: int8}", "second: {threads: 2}", ["a variant of `cross`"]),
        ("{profile: local}", "{}", ["targets.here", "`profile`, `board` or both"]),
        ("quantize: {max_loss_pct: 1}", "quantise: {}", ["unknown key", "'quantize'"]),
        ("model: float, target", "model: double, target", ["baseline.model is 'double'"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    line = GOOD[: GOOD.index(old)].count("\n") + 1
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_experiment(path)
    told = str(caught.value)
    assert told.startswith(f"{path}:{line}: "), told
    assert [word for word in words if word not in told] == [], told


def test_a_file_and_its_experiment_have_one_name(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("name: mine", "name: other"))
    with pytest.raises(ConfigurationError, match="call it 'mine' as its file"):
        load_experiment(path)


def test_shipped_experiments_load_under_their_names() -> None:
    shipped = [path.stem for path in shipped_folder("experiments").glob("*.yaml")]
    assert "compiler-lab" in shipped
    for name in shipped:
        assert load_experiment(name).name == name
    with pytest.raises(NotFoundError, match="did you mean 'compiler-lab'"):
        load_experiment("compiler-lap")


values: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["float", "int8"]),
    "target": st.sampled_from(["here", "a53"]),
    "layout": st.sampled_from(["auto", "NHWC", "NCHW"]),
    "opt_level": st.sampled_from([0, 1, 3, "s"]),
    "precision": st.sampled_from(["fp32", "fp16"]),
    "threads": st.integers(1, 3),
    "tuned": st.booleans(),
}
lists = {axis: st.lists(one, max_size=3, unique=True) for axis, one in values.items()}
blocks = st.fixed_dictionaries(lists).map(TypeAdapter(Block).validate_python)


@given(st.lists(blocks, max_size=3))
def test_crossing_gives_every_point_of_every_block_once(some: list[Block]) -> None:
    found = crossed(BASE, some)
    assert len(set(found)) == len(found)
    assert found[0] == BASE

    def is_in(variant: Variant, block: Block) -> bool:
        pairs = ((getattr(variant, axis), getattr(block, axis), axis) for axis in AXES)
        return all(value in (many or (getattr(BASE, axis),)) for value, many, axis in pairs)

    assert all(any(is_in(one, block) for block in some) for one in found[1:])
    axes = [[getattr(block, axis) or (getattr(BASE, axis),) for axis in AXES] for block in some]
    assert {BASE, *(Variant(*point) for block in axes for point in product(*block))} == set(found)


def test_a_place_takes_from_the_baseline_what_it_leaves_out() -> None:
    found, peer = placed(BASE, Place(model="int8", layout="NCHW"), Place(layout="NHWC"))
    assert (found, peer) == (replace(BASE, model="int8", layout="NHWC"), None)
    assert placed(BASE, Place(peer="litert"))[1] == "litert"


keys = st.sampled_from([*yaml.safe_load(GOOD), "modles", "accuracy", "measure"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(keys, anything, max_size=4).map(lambda new: {**yaml.safe_load(GOOD), **new})
    | anything
)
def test_any_yaml_is_an_experiment_or_a_configuration_error(content: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yaml"
        path.write_text(yaml.safe_dump(content, allow_unicode=True))
        try:
            assert isinstance(load_experiment(str(path)), Experiment)
        except ConfigurationError as error:
            assert str(path) in str(error)


def test_an_experiment_of_the_current_folder_names_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have the name of one that edgetvm ships."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    path = written(folder, GOOD.replace("model.onnx", "evil.yaml"))
    (folder / "evil.yaml").write_text("name: evil\nmodule: evil.py\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="has code of its own"):
        load_experiment("mine")
    assert load_experiment(path).name == "mine"
    monkeypatch.setenv("EDGETVM_EXPERIMENTS", str(folder))
    assert load_experiment("mine").name == "mine"
