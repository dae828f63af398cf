"""Metrics of all samples together, beside scikit-learn's and values reckoned by hand."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes import (
    DATA,
    METRICS,
    ModelFile,
    Prediction,
    Processing,
    Recipe,
    Sample,
    confusion,
    interpret,
    score,
    track,
)
from edgetvm.recipes.accuracy import average_precision

NOTHING = np.zeros(1, np.float32)


def samples(*labels: Any) -> list[Sample]:
    return [Sample(str(index), NOTHING, label) for index, label in enumerate(labels)]


def best(*names: str) -> list[Prediction]:
    """Predictions of one class each."""
    return [{"classes": [{"index": 0, "label": name, "score": 1.0}]} for name in names]


def scored(name: str, predictions: Sequence[Prediction], given: Sequence[Sample]) -> float:
    return METRICS.run(Processing(name), predictions, given)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1))
def test_classes_are_scored_as_scikit_learn_does(pairs: list[tuple[str, str]]) -> None:
    labels, found = [label for label, _ in pairs], [name for _, name in pairs]
    predictions, given_samples = best(*found), samples(*labels)
    how = {"average": "macro", "zero_division": 0}
    for name, reference in (
        ("precision_pct", precision_score),
        ("recall_pct", recall_score),
        ("f1_pct", f1_score),
    ):
        expected = 100 * reference(labels, found, **how)
        assert scored(name, predictions, given_samples) == pytest.approx(expected)
    made = confusion(predictions, given_samples)
    assert list(made.classes) == sorted({*labels, *found})
    np.testing.assert_array_equal(made.counts, confusion_matrix(labels, found))


def test_labels_may_be_indices() -> None:
    predictions: list[Prediction] = [
        {
            "classes": [
                {"index": 2, "label": "cat", "score": 0.9},
                {"index": 10, "label": "dog", "score": 0.1},
            ]
        },
        {
            "classes": [
                {"index": 10, "label": "dog", "score": 0.8},
                {"index": 2, "label": "cat", "score": 0.2},
            ]
        },
    ]
    found = confusion(predictions, samples(2, 2))
    assert found.classes == ("cat", "dog")
    assert found.counts == ((1, 1), (0, 0))


def test_a_class_has_one_name_whether_or_not_it_is_among_a_sample_s_best() -> None:
    cat, dog = ({"index": at, "label": name, "score": 0.9} for at, name in ((2, "cat"), (3, "dog")))
    predictions: list[Prediction] = [{"classes": [cat]}, {"classes": [dog]}]
    found = confusion(predictions, samples(2, 2))
    assert found.classes == ("cat", "dog")
    assert found.counts == ((1, 1), (0, 0))
    assert confusion(predictions, samples(7, "\N{SUPERSCRIPT TWO}")).classes[0] == "7"


def test_words_and_letters_that_are_wrong() -> None:
    """jiwer's own example: one replaced, one left out, one put in."""
    found = [{"text": "hello duck", "score": 1.0}, {"text": "the the cat", "score": 1.0}]
    given_samples = samples("hello world", "the cat sat")
    # world -> duck; the put in, sat left out: 3 edits of 5 words.
    assert scored("word_error_rate_pct", found, given_samples) == pytest.approx(60.0)
    # world -> duck: 5 edits (w-d o-u r-c l-k d-); "the cat sat" -> "the the cat": sat is dropped
    # with its blank, "the " put in: 8; beside 11 + 11 letters. Levenshtein may do with fewer.
    rate = scored("character_error_rate_pct", found, given_samples)
    assert rate == pytest.approx(100 * (5 + _levenshtein("the cat sat", "the the cat")) / 22)
    assert scored("word_error_rate_pct", [{"text": "a b", "score": 1.0}], samples("a b")) == 0.0
    assert scored("word_error_rate_pct", [{"text": "noise", "score": 1.0}], samples("")) == 100.0


def _levenshtein(a: str, b: str) -> int:
    """By its recursive definition."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return _levenshtein(a[1:], b[1:])
    return 1 + min(_levenshtein(a[1:], b[1:]), _levenshtein(a[1:], b), _levenshtein(a, b[1:]))


def said(*chunks: int) -> Prediction:
    """One decision each half second."""
    return {"speech": [bool(chunk) for chunk in chunks], "chunk_s": 0.5}


def test_detections_outside_of_words_are_false_accepts() -> None:
    # Begun at 0.5 (in the word), at 2.5 (within a second after its end, at 1.9), at 4.5 and 6.0.
    found = said(0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0)
    # 8 seconds of signal: two false accepts are 900 an hour.
    assert scored("false_accepts_per_hour", [found], samples([[0.7, 1.9]])) == pytest.approx(900.0)
    # One half a second after another is the same one: one in two seconds.
    again = {**said(1, 0, 1, 0, 0, 0, 0, 0), "chunk_s": 0.25}
    assert scored("false_accepts_per_hour", [again], samples([])) == pytest.approx(1800.0)
    assert scored("false_accepts_per_hour", [said(0, 0)], samples([])) == 0.0


def test_words_that_are_not_heard_are_false_rejects() -> None:
    found = said(0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
    # 0.6 to 0.9 is heard, 3 to 3.5 is not; of the second signal the one word is heard late.
    late = said(0, 0, 0, 1, 0, 0)
    labels = [[0.6, 0.9], [3.0, 3.5]], [[0.2, 0.9]]
    assert scored("false_rejects_pct", [found, late], samples(*labels)) == pytest.approx(100 / 3)
    assert scored("false_rejects_pct", [late], samples([[0.0, 0.4]])) == 100.0


def test_average_precision_by_hand() -> None:
    box, other, far = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)
    # Best first: right, wrong, right: precision 1, then 2/3 at recall 1.
    found = [(0.9, 0, box), (0.8, 0, far), (0.7, 0, other)]
    assert average_precision(found, [[box, other]]) == pytest.approx((1 + 2 / 3) / 2)
    # A second box on the same label is wrong, and costs nothing after full recall.
    twice = [(0.9, 0, box), (0.8, 0, box)]
    assert average_precision(twice, [[box]]) == 1.0
    assert average_precision([], [[box]]) == 0.0
    # So is one that overlaps another label as well, which nothing finds.
    near = (0, 3, 10, 13)
    assert average_precision(twice, [[box, near]]) == 0.5
    assert average_precision([], [[]]) == 1.0
    assert average_precision([(0.5, 0, box)], [[]]) == 0.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_average_precision_is_the_area_under_the_falling_curve(hits: list[bool]) -> None:
    """Where each label is found by one box, the order of scores decides, as in a ranking."""
    found, labelled = [], []
    for index, hit in enumerate(hits):
        box = (100 * index, 0, 100 * index + 10, 10)
        found.append((1.0 - index / 100, 0, box if hit else (0, 500, 10, 510 + index)))
        labelled += [box] if hit else []
    value = average_precision(found, [labelled])
    # scikit-learn's sum is of the precision as it is: never more than that of the falling one.
    plain = average_precision_score(hits, [one[0] for one in found])
    assert plain - 1e-9 <= value <= 1.0


def test_numbers_are_compared_with_their_labels() -> None:
    found = [{"values": [1.0, 2.0]}, {"values": [5.0, 5.0]}]
    given_samples = samples([1.0, 4.0], [5.0, 9.0])
    assert scored("mean_absolute_error", found, given_samples) == pytest.approx(1.5)
    assert scored("root_mean_square_error", found, given_samples) == pytest.approx(np.sqrt(5.0))
    assert scored("mean_absolute_error", [{"values": [3.0]}], samples(2)) == pytest.approx(1.0)


def made_recipe(postprocess: str, *metrics: str) -> Recipe:
    return Recipe(
        "test",
        "test",
        "test",
        "MIT",
        ModelFile(path=Path("m.onnx")),
        data=Processing("rendered-page", {"lines": ["a"]}),
        postprocess=Processing(postprocess),
        metrics=metrics,
    )


def test_metrics_of_one_and_of_all_samples_stand_beside_each_other() -> None:
    recipe = made_recipe("top-k", "top1", "top5", "recall_pct")
    outputs = [np.float32([[1, 5, 0, 2, 3, 4]]), np.float32([[9, 1, 2, 3, 4, 5]])]
    given_samples = samples(0, 0)
    predictions = [interpret(recipe, {"y": one}, given_samples[0]) for one in outputs]
    assert score(recipe, predictions, given_samples) == {
        "top1": 0.5,
        # Class 0 is the fifth of the first.
        "top5": 1.0,
        "recall_pct": 25.0,
    }


@pytest.mark.parametrize(
    ("postprocess", "metric", "prediction", "label"),
    [
        ("top-k", "f1_pct", best("a")[0], [1]),
        ("ctc-text", "word_error_rate_pct", {"text": "a"}, 3),
        ("values", "mean_absolute_error", {"values": [1.0]}, [1.0, 2.0]),
        ("values", "mean_absolute_error", {"values": [1.0]}, "one"),
        ("text-boxes", "average_precision_pct", {"boxes": [], "scores": []}, "box"),
    ],
)
def test_a_label_of_another_sort_is_refused(
    postprocess: str, metric: str, prediction: Prediction, label: Any
) -> None:
    with pytest.raises(ConfigurationError, match=f"metric {metric} cannot compare with label"):
        score(made_recipe(postprocess, metric), [prediction], samples(label))


def pictures(folder: Path) -> None:
    for name in ("cat/one.png", "cat/two.png", "dog/three.png", "dog/notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (4, 4), "white").save(path)
        else:
            path.write_text("not a picture")


def test_a_folder_s_subfolders_are_its_labels(tmp_path: Path) -> None:
    pictures(tmp_path)
    found = DATA.run(Processing("folder", {"source": ModelFile(path=tmp_path)}))
    assert [(one.name, one.label) for one in found] == [
        ("cat/one.png", "cat"),
        ("cat/two.png", "cat"),
        ("dog/three.png", "dog"),
    ]
    assert found[0].value.shape == (4, 4, 3)  # type: ignore[union-attr]
    two = DATA.run(Processing("folder", {"source": ModelFile(path=tmp_path), "most": 2}))
    assert [one.name for one in two] == ["cat/one.png", "cat/two.png"]


def test_labels_of_a_folder_come_from_a_table(tmp_path: Path) -> None:
    pictures(tmp_path)
    with wave.open(str(tmp_path / "word.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.zeros(8000, "<i2").tobytes())
    table = tmp_path / "labels.csv"
    table.write_text('cat/one.png,7\n\ndog/three.png,a dog\nword.wav,"[[0.1, 0.5]]"\n')
    chosen = {"source": ModelFile(path=tmp_path), "labels": ModelFile(path=table)}
    found = DATA.run(Processing("folder", {**chosen, "sample_rate_hz": 16000}))
    assert [one.label for one in found] == [7, "a dog", [[0.1, 0.5]]]
    assert found[2].attributes == {"sample_rate_hz": 16000}
    assert found[2].value.shape == (16000,)  # type: ignore[union-attr]
    (tmp_path.parent / "other.png").write_bytes((tmp_path / "cat/one.png").read_bytes())
    for line in ("cat/one.png", "../other.png,cat", f"{tmp_path.parent}/other.png,cat"):
        table.write_text(f"{line}\n")
        with pytest.raises(ConfigurationError, match=r"labels\.csv:1.*no `file,label`"):
            DATA.run(Processing("folder", chosen))
    table.write_text(f"{'x' * (1 << 18)},cat\n")
    with pytest.raises(ConfigurationError, match="it is no table"):
        DATA.run(Processing("folder", chosen))
    with pytest.raises(ConfigurationError, match="no pictures or recordings"):
        empty = tmp_path / "empty"
        empty.mkdir()
        DATA.run(Processing("folder", {"source": ModelFile(path=empty)}))
    with pytest.raises(ConfigurationError, match="no such folder"):
        DATA.run(Processing("folder", {"source": ModelFile(path=tmp_path / "none")}))


def test_rows_of_arrays_are_samples(tmp_path: Path) -> None:
    path = tmp_path / "many.npz"
    np.savez(path, x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.asarray([2, 0, 1]))
    chosen = {"source": ModelFile(path=path), "labels": "y"}
    found = DATA.run(Processing("npz", chosen))
    assert [one.label for one in found] == [2, 0, 1]
    np.testing.assert_array_equal(found[1].value["x"], [[4, 5, 6, 7]])
    with pytest.raises(ConfigurationError, match="no array 'z' in it"):
        DATA.run(Processing("npz", {**chosen, "labels": "z"}))
    np.savez(path, x=np.zeros((3, 4), np.float32), y=np.asarray([2, 0]))
    with pytest.raises(ConfigurationError, match="2 and 3 rows"):
        DATA.run(Processing("npz", chosen))
    np.savez(path, x=np.float32(1), y=np.asarray([2, 0]))
    with pytest.raises(ConfigurationError, match="0 and 2 rows"):
        DATA.run(Processing("npz", chosen))


def test_numbers_in_their_order() -> None:
    labels = [float(one) for one in range(1200)]
    one_by_one = [{"values": [one + 0.5]} for one in labels]
    found = track(one_by_one, samples(*labels))
    assert found is not None
    assert (len(found.labels), found.labels[0], found.values[-1]) == (1000, 200.0, 1199.5)
    at_once = track([{"values": [one + 0.5 for one in labels]}], samples(labels))
    assert at_once == found
    # Neither a few nor numbers that stand side by side are a series.
    assert track(one_by_one[:9], samples(*labels[:9])) is None
    pairs = [{"values": [1.0, 2.0]}] * 20
    assert track(pairs, samples(*[[1.0, 2.0]] * 20)) is None
