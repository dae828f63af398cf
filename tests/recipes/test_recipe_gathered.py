"""Many samples at once: of packages, of folders of arrays, and of folders of one's own."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgetvm.base.errors import (
    ConfigurationError,
    EdgetvmError,
    MissingToolError,
    ModelUnreadableError,
)
from edgetvm.recipes import DATA, Processing, Recipe, load_recipe, samples, unmet
from edgetvm.recipes.gathered import arrays
from edgetvm.recipes.postprocess import top_k

RECIPE = """\
name: mine
task: classification
description: a model
licence: MIT
model: {path: m.tflite}
inputs: {x: {shape: [1, 2, 2, 3]}}
data: {data}
preprocess: {name: image, layout: nhwc}
postprocess: {name: top-k}
metrics: [top1]
accept: {top1: 0.75}
"""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A wheel of four files in a model folder; the data of two of them."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index, label in enumerate((3, 17)):
        name = pictures / f"digit_{index}_{label}.png"
        Image.new("RGB", (2, 2), (index * 50, 0, 0)).save(name)
    paths = sorted(pictures.iterdir())
    with zipfile.ZipFile(tmp_path / "tiny_pictures-1.0-py3-none-any.whl", "w") as archive:
        for path in paths:
            archive.write(path, f"tiny/data/{path.name}")
        archive.writestr("tiny/data/other.png", b"")
        archive.writestr("tiny/__init__.py", b"")
    monkeypatch.setenv("EDGETVM_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)
    return {
        "package": "tiny-pictures==1.0",
        "files": "tiny/data/digit_*.png",
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }


def _recipe(folder: Path, data: str) -> Recipe:
    path = folder / "mine.yaml"
    path.write_text(RECIPE.replace("{data}", data))
    return load_recipe(str(path))


def test_pictures_of_a_package_with_labels_of_their_names(wheel: dict[str, str]) -> None:
    data = Processing("package-pictures", {**wheel, "label": r"_(\d+)\.png$"})
    found = DATA.run(data)
    assert [(one.name, one.label) for one in found] == [
        ("digit_0_3.png", 3),
        ("digit_1_17.png", 17),
    ]
    assert [one.value[0, 0, 0] for one in found] == [0, 50]  # type: ignore[index]


def test_labels_by_name_leave_the_others_out(wheel: dict[str, str]) -> None:
    found = DATA.run(Processing("package-pictures", {**wheel, "label": {"digit_1_17.png": "a"}}))
    assert [(one.name, one.label) for one in found] == [("digit_1_17.png", "a")]


def test_a_label_that_a_name_may_lack_is_asked_for(wheel: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no label in the name"):
        DATA.run(Processing("package-pictures", {**wheel, "label": r"\.png$|(never)"}))


def test_other_pictures_than_the_recipe_means(wheel: dict[str, str]) -> None:
    given = {**wheel, "sha256": "0" * 64, "label": r"_(\d+)\.png$"}
    with pytest.raises(ModelUnreadableError, match="recipe says 000000000000"):
        DATA.run(Processing("package-pictures", given))


def test_pictures_that_were_changed_in_the_cache(wheel: dict[str, str]) -> None:
    data = Processing("package-pictures", {**wheel, "label": r"(\d+)\.png$"})
    (first, *_) = DATA.run(data)
    from edgetvm.base.paths import cache_folder

    (path,) = cache_folder().rglob(first.name)
    path.write_bytes(b"")
    with pytest.raises(ModelUnreadableError, match="were changed"):
        DATA.run(data)


@pytest.mark.parametrize("label", [r"\d+", r"(\d)(\d)", "("])
def test_a_label_is_one_group(wheel: dict[str, str], label: str, tmp_path: Path) -> None:
    data = {"name": "package-pictures", **wheel, "label": label}
    with pytest.raises(ConfigurationError, match="label"):
        _recipe(tmp_path, str(data))


def _keywords(folder: Path, rows: str, names: tuple[str, ...] = ("a.bin", "b.bin")) -> None:
    for index, name in enumerate(names):
        (folder / name).write_bytes(np.array([index, -1, 2], "<i2").tobytes())
    (folder / "y_labels.csv").write_text(rows)


ARRAYS = {"input": "x", "shape": (1, 3), "dtype": "int16"}


def test_arrays_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand-computed: 0.5 * (number - 3). A line of a file that is not there is left out."""
    (tmp_path / "words").mkdir()
    _keywords(tmp_path / "words", "a.bin,12,7\nmissing.bin,12,1\nb.bin,12,0\n")
    monkeypatch.setenv("EDGETVM_DATA", str(tmp_path))
    found = arrays(folder="words", **ARRAYS, scale=0.5, zero_point=3)  # type: ignore[arg-type]
    assert [(one.name, one.label) for one in found] == [("a.bin", 7), ("b.bin", 0)]
    assert found[1].value["x"].tolist() == [[-1.0, -2.0, -0.5]]  # type: ignore[index]
    assert found[1].value["x"].dtype == np.float32  # type: ignore[index]
    (plain, _) = arrays(folder="words", **ARRAYS)  # type: ignore[arg-type]
    assert plain.value["x"].dtype == np.int16  # type: ignore[index]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a.bin,12\n", r"y_labels\.csv:1"),
        ("a.bin,12,7\n../b.bin,12,1\n", r"y_labels\.csv:2"),
        ("a.bin,12,seven\n", "classes,label"),
        ("a.bin,12,\N{SUPERSCRIPT TWO}\n", "classes,label"),
        ("none.bin,12,1\n", "none of the files"),
        ("a.bin,12,12\n", "label's index below it"),
    ],
)
def test_lists_that_cannot_be_read(rows: str, said: str, tmp_path: Path) -> None:
    _keywords(tmp_path, rows)
    with pytest.raises(ConfigurationError, match=said):
        arrays(folder=str(tmp_path), **ARRAYS)  # type: ignore[arg-type]


def test_a_file_of_another_size(tmp_path: Path) -> None:
    _keywords(tmp_path, "a.bin,2,1\n")
    with pytest.raises(ConfigurationError, match="6 bytes, and int32"):
        arrays(folder=str(tmp_path), **{**ARRAYS, "dtype": "int32"})  # type: ignore[arg-type]


def test_a_folder_that_is_not_there_says_where_it_is_from(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"https://data\.example/words.*EDGETVM_DATA"):
        arrays(folder="nowhere", origin="https://data.example/words", **ARRAYS)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"no y_labels\.csv in it"):
        arrays(folder=str(tmp_path), **ARRAYS)  # type: ignore[arg-type]


@given(st.text(alphabet=st.sampled_from('a.bin,12\n"/x'), max_size=40))
def test_any_list_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: str) -> None:
    folder = tmp_path_factory.mktemp("words")
    _keywords(folder, rows)
    try:
        found = arrays(folder=str(folder), **ARRAYS)  # type: ignore[arg-type]
    except EdgetvmError:
        return
    assert {one.name for one in found} <= {"a.bin", "b.bin"}


def test_what_a_recipe_accepts(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, "{name: rendered-page, lines: [a], label: text}")
    assert unmet(recipe, {"top1": 0.75}) == []
    assert unmet(recipe, {"top1": 0.5}) == ["top1 is 0.5, and the recipe asks for at least 0.75"]


def test_accepted_is_only_what_is_measured_and_a_score(tmp_path: Path) -> None:
    text = RECIPE.replace("{data}", "{name: rendered-page, lines: [a], label: text}")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("accept: {top1", "accept: {top5"))
    with pytest.raises(ConfigurationError, match="add it there"):
        load_recipe(str(path))


def test_the_best_of_integers_is_not_the_least(tmp_path: Path) -> None:
    """-(-128) is -128 in int8."""
    recipe = _recipe(tmp_path, "{name: rendered-page, lines: [a], label: text}")
    scores = {"out": np.array([[-128, -128, 5, 100]], np.int8)}
    found = top_k(recipe, scores, samples(recipe)[0], background=1, k=2)
    assert [one["index"] for one in found["classes"]] == [2, 1]
