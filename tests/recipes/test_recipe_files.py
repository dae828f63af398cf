"""Recipe files: what loads, what does not, and what the error says."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError, NotFoundError
from edgetvm.base.yamlfile import json_schema
from edgetvm.recipes import (
    DATA,
    POSTPROCESS,
    PREPROCESS,
    InputSpec,
    ModelFile,
    Recipe,
    StreamSpec,
    find_recipe,
    list_recipes,
    load_recipe,
    starting_recipe,
)

HEAD = """\
name: mine
task: classification
description: a model
licence: MIT
model: {path: m.onnx}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_every_shipped_recipe_loads_under_its_name() -> None:
    names = [recipe.name for recipe in list_recipes()]
    assert names == sorted(names)
    assert {"vision/ppocr-det", "speech/silero-vad", "speech/openwakeword-embedding"} <= set(names)
    for name in names:
        assert load_recipe(name).name == name
        assert find_recipe(name) is not None


def test_the_silero_recipe_says_what_its_chunks_are() -> None:
    recipe = load_recipe("speech/silero-vad")
    assert recipe.stream == StreamSpec(16000, 576, 512, "input", {"state": "stateN"})
    assert recipe.stream.chunk_ms == recipe.deadline_ms == 32
    assert recipe.inputs["sr"] == InputSpec(value=16000)
    assert recipe.inputs["state"].shape == (2, 1, 128)


def test_a_users_recipe_comes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vision").mkdir()
    text = HEAD.replace("mine", "vision/ppocr-det").replace("a model", "my own")
    (tmp_path / "vision" / "ppocr-det.yaml").write_text(text)
    monkeypatch.setenv("EDGETVM_RECIPES", str(tmp_path))
    assert load_recipe("vision/ppocr-det").description == "my own"
    assert find_recipe("vision/ppocr-det") == tmp_path / "vision" / "ppocr-det.yaml"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert find_recipe("vision/ppocr-dot") is None
    with pytest.raises(NotFoundError, match="did you mean 'vision/ppocr-det'"):
        load_recipe("vision/ppocr-dot")
    with pytest.raises(NotFoundError, match="no such recipe file"):
        load_recipe("nowhere.yaml")


def test_relative_paths_start_at_the_recipe(tmp_path: Path) -> None:
    text = HEAD + "data: {name: picture, source: {path: pictures/a.png}}\n"
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.model.path == tmp_path / "m.onnx"
    assert recipe.data is not None
    assert recipe.data.parameters["source"].path == tmp_path / "pictures" / "a.png"


def test_the_name_must_equal_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"name is 'other'.*'mine'"):
        load_recipe(written(tmp_path, HEAD.replace("name: mine", "name: other")))


PAGE = "data: {name: rendered-page, lines: [a]}\n"
BAD = [
    ("tsk: 1\n", "6: unknown key tsk (did you mean 'task'?)"),
    ("task: again\n", "6: key 'task' stands twice (keep one of them)"),
    ("deadline_ms: soon\n", "6: deadline_ms is 'soon' (it should be a valid number"),
    ("deadline_ms: 0\n", "6: deadline_ms is 0 (it should be greater than 0)"),
    (
        "data: {name: rendered-pag}\n",
        "6: data.name is 'rendered-pag' (it should be 'rendered-page'",
    ),
    ("data: 5\n", "6: data is 5 (it should be a mapping"),
    ("data: {lines: [a]}\n", "6: key data.name is missing"),
    ("data: {name: rendered-page}\n", "6: key data.lines is missing"),
    ("data:\n  name: rendered-page\n  linez: [a]\n", "8: unknown key data.linez (did you mean"),
    (
        "preprocess:\n  name: image\n  meen: 1\n",
        "8: unknown key preprocess.meen (did you mean 'mea",
    ),
    ("preprocess: {name: image, mean: [1, 2]}\n", "6: preprocess.mean is [1, 2] (it should be one"),
    ("preprocess: {name: image, std: [0]}\n", "6: preprocess.std[0] is 0 (it should be greater"),
    ("preprocess: {name: audio-windows}\n", "6: preprocess.name is 'audio-windows' (it should be"),
    ("metrics: [top1]\n", "6: metrics is ['top1'] (it should be used with `data:`"),
    (
        PAGE + "postprocess: {name: top-k}\nmetrics: [box_count]\n",
        "8: metrics[0] is 'box_count' (it should be one of: f1_pct, precision_pct",
    ),
    ("metrics: [topp1]\n", "6: metrics[0] is 'topp1' (it should be 'top1'"),
    ("inputs: {x: {shape: [1, -1]}}\n", "6: inputs.x.shape[1] is -1 (it should be greater than 0)"),
    ("inputs: {x: {value: [[1], [2, 3]]}}\n", "6: inputs.x.value is [[1], [2, 3]] (it should be"),
    ("inputs: {x: {value: 1, shape: [1]}}\n", "6: inputs.x is {"),
    (
        "inputs: {y: {}}\n"
        "stream:\n  {sample_rate_hz: 8, window_samples: 2, hop_samples: 1, input: x}\n",
        "8: stream.input is 'x' (it should be one of `inputs`: y)",
    ),
    (
        "inputs: {x: {shape: [1, 3]}}\n"
        "stream:\n  {sample_rate_hz: 8, window_samples: 2, hop_samples: 1, input: x}\n",
        "8: stream.window_samples is 2 (it should be the size of input x, whose shape is [1, 3])",
    ),
    (
        "stream: {sample_rate_hz: 8, window_samples: 2, hop_samples: 3, input: x}\n",
        "6: stream is {",
    ),
    (
        "data:\n  name: wav\n  source:\n    pakage: a\n",
        "9: unknown key data.source.pakage (did you",
    ),
    ("data: {name: wav, source: {path: a, url: b}}\n", "6: data.source.url is 'b'"),
]


@pytest.mark.parametrize(("more", "said"), BAD)
def test_a_bad_recipe_is_told_by_file_line_key_and_mend(
    tmp_path: Path, more: str, said: str
) -> None:
    path = written(tmp_path, HEAD + more)
    with pytest.raises(ConfigurationError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}:{said}")
    assert caught.value.mend


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"path": "a", "url": "https://b/c", "sha256": "0" * 64},
        {"package": "a==1", "sha256": "0" * 64},
        {"package": "a==1", "file": "b"},
        {"package": "a==1", "file": "../b", "sha256": "0" * 64},
        {"package": "-r", "file": "b", "sha256": "0" * 64},
        {"url": "http://a/b", "sha256": "0" * 64},
        {"url": "https://a/b"},
    ],
)
def test_a_file_has_exactly_one_safe_source(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="ModelFile"):
        ModelFile(**keys)  # type: ignore[arg-type]


def test_a_starting_recipe_loads(tmp_path: Path) -> None:
    text = starting_recipe("mine", tmp_path / "mödel: #1.onnx", {"x:0": (1, 3, 8, 8), "n": ()})
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.model.path == tmp_path / "mödel: #1.onnx"
    assert recipe.inputs == {"x:0": InputSpec((1, 3, 8, 8)), "n": InputSpec(())}
    # What it shows in comments must be right, too.
    _, _, comments = text.partition("random numbers.\n")
    commented = comments.replace("# ", "", 1).replace("\n# ", "\n")
    assert load_recipe(written(tmp_path, HEAD + commented)).deadline_ms == 33
    assert load_recipe(written(tmp_path, starting_recipe("mine", "m.onnx", {}))).inputs == {}
    bound = starting_recipe("mine", "m.onnx", {"x": (1, 3)}, {"rate": 16000, "pads": [1, 2]})
    inputs = load_recipe(written(tmp_path, bound)).inputs
    assert (inputs["rate"].value, inputs["pads"].value) == (16000, [1, 2])


def test_a_starting_recipe_wants_a_name_and_closed_shapes() -> None:
    with pytest.raises(ConfigurationError, match="'My Model' cannot be"):
        starting_recipe("My Model", "m.onnx", {})
    with pytest.raises(ConfigurationError, match=r"x: shape .*choose a size"):
        starting_recipe("mine", "m.onnx", {"x": (0, 3)})


def test_the_schema_for_editors_knows_every_parameter() -> None:
    schema = json_schema(Recipe, "recipe")
    properties = schema["properties"]
    for key, registry in (("data", DATA), ("preprocess", PREPROCESS), ("postprocess", POSTPROCESS)):
        options = [
            schema["$defs"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one
            for one in properties[key]["anyOf"][:-1]
        ]
        names = [option["properties"]["name"]["const"] for option in options]
        assert names == registry.names()
    image = properties["preprocess"]["anyOf"][1]
    assert image["properties"]["layout"]["enum"] == ["nchw", "nhwc"]


RECORDS = (Recipe, ModelFile, InputSpec, StreamSpec)
keys = st.sampled_from([key.name for record in RECORDS for key in fields(record)])
words = st.sampled_from(
    ["mine", "image", "rendered-page", "espeak", "top-k", "top1", "text-boxes", "audio-windows"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | words, inner, max_size=5),
    max_leaves=12,
)
GOOD = yaml.safe_load(HEAD + PAGE + "stream: {sample_rate_hz: 8, window_samples: 2}\n")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=6).map(lambda changes: {**GOOD, **changes}) | values)
def test_any_yaml_is_a_recipe_or_a_configuration_error(content: object) -> None:
    check_any(yaml.safe_dump(content, allow_unicode=True))


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text().map(lambda text: HEAD + text))
def test_any_text_is_a_recipe_or_a_configuration_error(text: str) -> None:
    check_any(text)


def check_any(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            assert isinstance(load_recipe(str(path)), Recipe)
        except ConfigurationError as error:
            assert str(path) in str(error)
