"""Postprocessing, metrics and agreement against values reckoned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes import (
    ModelFile,
    Prediction,
    Processing,
    Recipe,
    Sample,
    StreamSpec,
    decision_agreement,
    interpret,
    score,
)

ANY_DATA = Processing("rendered-page", {"lines": ["a"]})


def recipe(postprocess: str, *metrics: str, stream: Any = None, **parameters: Any) -> Recipe:
    return Recipe(
        "test",
        "test",
        "test",
        "MIT",
        ModelFile(path=parameters.pop("model", Path("m.onnx"))),
        data=ANY_DATA,
        preprocess=parameters.pop("preprocess", None),
        postprocess=Processing(postprocess, parameters),
        metrics=metrics,
        stream=stream,
    )


def picture(height: int, width: int, label: Any = None) -> Sample:
    return Sample("a", np.zeros((height, width, 3), np.uint8), label)


def heat_map() -> dict[str, np.ndarray]:
    heat = np.zeros((1, 1, 40, 40), np.float32)
    heat[0, 0, 10:20, 5:25] = 0.9  # grows by 200 * 1.5 / 60 = 5
    heat[0, 0, 30:32, 5:25] = 0.9  # too low
    heat[0, 0, 30:36, 30:36] = 0.5  # too unsure
    return {"map": heat}


def test_boxes_grow_and_are_scaled_to_the_picture() -> None:
    found = interpret(recipe("text-boxes"), heat_map(), picture(80, 40))
    assert found["boxes"] == [[0, 10, 30, 50]]
    assert found["scores"] == pytest.approx([0.9])
    unsure = interpret(recipe("text-boxes", box_threshold=0.4), heat_map(), picture(40, 40))
    # 36 * 1.5 / 24 = 2.25
    assert unsure["boxes"] == [[0, 5, 30, 25], [28, 28, 38, 38]]


def test_boxes_know_that_the_aspect_was_kept() -> None:
    fitted = recipe("text-boxes", preprocess=Processing("image", {"keep_aspect": True}))
    assert interpret(fitted, heat_map(), picture(80, 160))["boxes"] == [[0, 20, 120, 80]]


def test_a_line_is_found_by_its_centre_and_half_of_its_area() -> None:
    lines = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
    boxes = [[0, 0, 10, 10], [20, 0, 30, 5], [40, 4, 50, 8], [60, 0, 64, 10]]
    # Whole; half and just over the centre; the centre but less than half; not the centre.
    parts = recipe("text-boxes", "lines_found_pct", "box_count")
    scores = score(parts, [{"boxes": boxes}], [picture(9, 9, lines)])
    assert scores == {"lines_found_pct": 50.0, "box_count": 4.0}


STREAM = StreamSpec(1000, 100, 100, "input", {"state": "next"})  # chunks of 100 ms


def test_chunks_become_spans() -> None:
    parts = recipe("speech-probability", stream=STREAM)
    values = np.array([0.1, 0.5, 0.9, 0.4, 0.8], np.float32).reshape(5, 1, 1)
    found = interpret(parts, {"prob": values, "next": np.zeros((5, 2))}, picture(1, 1))
    assert found["speech"] == [False, True, True, False, True]
    assert found["spans_s"] == [[0.1, 0.3], [0.4, 0.5]]
    assert found["chunk_s"] == 0.1
    silent = interpret(parts, {"prob": np.zeros((3, 1))}, picture(1, 1))
    assert silent["spans_s"] == []


def test_chunks_near_a_border_do_not_count() -> None:
    parts = recipe("speech-probability", "speech_chunk_accuracy_pct", stream=STREAM)
    # Speech from 0.45 s to 0.95 s. Chunks 3, 4, 5 and 8, 9, 10 are within 100 ms of a border.
    said = [False, True, False, True, False, True, True, False, True, True, True, False]
    found: Prediction = {"speech": said, "chunk_s": 0.1}
    # Counted: 0 right, 1 wrong, 2 right, 6 right, 7 wrong, 11 right.
    assert score(parts, [found], [picture(1, 1, [[0.45, 0.95]])]) == {
        "speech_chunk_accuracy_pct": pytest.approx(100 * 4 / 6)
    }


def test_the_best_classes_come_first() -> None:
    scores = {"out": np.array([[0.1, 0.7, 0.2]], np.float32)}
    parts = recipe("top-k", "top1", k=2, labels=["cat", "dog", "cow"])
    found = interpret(parts, scores, picture(1, 1))
    assert [(entry["index"], entry["label"]) for entry in found["classes"]] == [
        (1, "dog"),
        (2, "cow"),
    ]
    assert score(parts, [found], [picture(1, 1, "dog")]) == {"top1": 1.0}
    assert score(parts, [found], [picture(1, 1, 1)]) == {"top1": 1.0}
    assert score(parts, [found], [picture(1, 1, "cow")]) == {"top1": 0.0}
    with pytest.raises(ConfigurationError, match="metric top1 cannot compare with label None"):
        score(parts, [found], [picture(1, 1)])
    with pytest.raises(ConfigurationError, match="3 labels for 2 classes"):
        interpret(parts, {"out": np.zeros((1, 2))}, picture(1, 1))


def character_model(path: Path, characters: str) -> Path:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([], "g", [value], [value])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {"character": characters})
    onnx.save(model, path)
    return path


def test_repeated_and_blank_steps_make_one_letter(tmp_path: Path) -> None:
    parts = recipe(
        "ctc-text", "character_accuracy_pct", model=character_model(tmp_path / "m", "a\nb")
    )
    steps = [1, 1, 0, 1, 2, 2, 3, 0, 2]  # a a - a b b space - b
    found = interpret(parts, {"out": np.eye(4, dtype=np.float32)[steps][np.newaxis]}, picture(1, 1))
    assert found == {"text": "aab b", "score": 1.0}
    assert score(parts, [found], [picture(1, 1, "aab b")]) == {"character_accuracy_pct": 100.0}
    # One letter inserted, one replaced: two edits of four letters.
    assert score(parts, [found], [picture(1, 1, "abb ")]) == {"character_accuracy_pct": 50.0}
    with pytest.raises(ConfigurationError, match="4 characters for 5 classes"):
        interpret(parts, {"out": np.zeros((1, 2, 5))}, picture(1, 1))


def test_the_output_must_be_clear() -> None:
    two = {"a": np.zeros((1, 2)), "b": np.zeros((1, 3))}
    with pytest.raises(ConfigurationError, match=r"several outputs.*name one of: a, b"):
        interpret(recipe("top-k"), two, picture(1, 1))
    assert len(interpret(recipe("top-k", output="b"), two, picture(1, 1))["classes"]) == 3
    with pytest.raises(ConfigurationError, match=r"takes one map.*shape"):
        interpret(recipe("text-boxes", output="a"), two, picture(1, 1))


@pytest.mark.parametrize(
    ("postprocess", "a", "b", "percent"),
    [
        ("text-boxes", {"boxes": []}, {"boxes": []}, 100),
        ("text-boxes", {"boxes": [[0, 0, 4, 4]]}, {"boxes": []}, 0),
        # An overlap of 12 of 20 is the same box, 8 of 24 is another.
        ("text-boxes", {"boxes": [[0, 0, 4, 4]]}, {"boxes": [[1, 0, 5, 4]]}, 100),
        ("text-boxes", {"boxes": [[0, 0, 4, 4]]}, {"boxes": [[2, 0, 6, 4]]}, 0),
        ("text-boxes", {"boxes": [[0, 0, 4, 4]] * 2}, {"boxes": [[0, 0, 4, 4]]}, 200 / 3),
        ("speech-probability", {"speech": [True, False]}, {"speech": [True, True]}, 50),
        ("top-k", {"classes": [{"index": 1}]}, {"classes": [{"index": 1}]}, 100),
        ("top-k", {"classes": [{"index": 1}]}, {"classes": [{"index": 2}]}, 0),
        ("ctc-text", {"text": "abcd"}, {"text": "abd"}, 75),
        ("ctc-text", {"text": ""}, {"text": ""}, 100),
    ],
)
def test_agreement_is_the_share_of_equal_decisions(
    postprocess: str, a: Prediction, b: Prediction, percent: float
) -> None:
    parts = recipe(postprocess, stream=STREAM)
    assert decision_agreement(parts, a, b) == pytest.approx(percent)
    assert decision_agreement(parts, b, a) == pytest.approx(percent)
