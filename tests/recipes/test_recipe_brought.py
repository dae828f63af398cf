"""Folders of the user's in place of recipes' data: the forms that they may have."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetvm.base.errors import ConfigurationError, UsageError
from edgetvm.base.steps import StepEvent, listening
from edgetvm.recipes import (
    interpret,
    load_pipeline,
    load_recipe,
    prepare,
    samples,
    score,
    told_data,
    with_folder,
)
from edgetvm.recipes.data import Label

NUMBERED = "vision/mobilenetv2-uint8"
NAMED = "vision/cifar10-resnet8"
DIGITS = "vision/digits"
KEYWORDS = "tiny/keyword-spotting-int8"
SPEECH = "speech/silero-vad"


def write(folder: Path, *names: str, **texts: str) -> Path:
    """Files of these names, each what its suffix says; and texts by name, `__` for a dot."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".wav":
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(bytes(1600))
        elif path.suffix == ".bin":
            path.write_bytes(bytes(490))
        else:
            Image.new("RGB", (4, 4), (9, 9, 9)).save(path)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def labels(name: str, folder: Path) -> list[tuple[str, Label]]:
    return [(one.name, one.label) for one in samples(with_folder(load_recipe(name), folder))]


def test_subfolders_are_classes_by_name_or_number(tmp_path: Path) -> None:
    write(tmp_path, "bird/a.png", "3/b.PNG", ".hidden/c.png", "bird/.d.png", notes__txt="")
    write(tmp_path / "9" / "deep", "e.png")
    assert labels(NAMED, tmp_path) == [("3/b.PNG", 3), ("9/deep/e.png", 9), ("bird/a.png", "bird")]
    (tmp_path / "bird").rename(tmp_path / "180")
    assert ("180/a.png", 180) in labels(NUMBERED, tmp_path)
    # Where a class is called so, the number is its name.
    assert {
        label for _, label in labels("vision/ppocr-cls", write(tmp_path / "one", "180/a.png"))
    } == {"180"}


@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        (NAMED, "birb/a.png", r"birb/a\.png: no class 'birb' \(did you mean 'bird'"),
        (NAMED, "10/a.png", "no class '10'.*one of: airplane"),
        (NUMBERED, "bird/a.png", "no class 'bird'.*a class's number, from 0 on"),
        (NUMBERED, "1/a.wav", r"no pictures in it \(it should hold \.png"),
        (DIGITS, "nine.txt", "no file t10k-images.*pictures in subfolders"),
        (NAMED, "x.txt", "no file test_batch.*pictures in subfolders"),
        (KEYWORDS, "yes/a.wav", r"no y_labels\.csv in it"),
        ("speech/whisper-base-encoder", "a.wav", "leave --data out"),
        ("speech/recorded-digits", "a.wav", r"no recording 0\.wav in it"),
        ("relay/digits", "a.png", r"0 \.npz files in it"),
        ("tiny/anomaly-detection", "a.wav", r"no y_labels\.csv in it"),
        ("series/sp500-lstm", "a.png", "0 CSV files"),
        ("text/sentiment-lstm", "a.png", "no test set in it"),
    ],
)
def test_a_folder_of_another_form_is_told_with_the_form(
    tmp_path: Path, name: str, file: str, told: str
) -> None:
    write(tmp_path, file) if Path(file).suffix != ".txt" else (tmp_path / file).write_text("")
    with pytest.raises((ConfigurationError, UsageError), match=told):
        labels(name, tmp_path)


def test_a_file_among_subfolders_has_no_label(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"b\.png: it has no label"):
        labels(NAMED, write(tmp_path, "bird/a.png", "b.png"))


def test_a_table_of_labels_as_people_write_it(tmp_path: Path) -> None:
    """Excel's mark at its start, spans and boxes without quotes, texts that read as JSON."""
    write(tmp_path, "a.png", "b.wav", labels__csv="\ufeffa.png, ship\n")
    assert labels(NAMED, tmp_path) == [("a.png", "ship")]
    (tmp_path / "labels.csv").write_text("a.png,[[1, 2, 30, 40]]\n")
    assert labels("vision/ppocr-det", tmp_path) == [("a.png", [[1, 2, 30, 40]])]
    (tmp_path / "labels.csv").write_text("a.png,0123\n")
    assert labels("vision/ppocr-rec", tmp_path) == [("a.png", "0123")]
    (tmp_path / "labels.csv").write_text('b.wav,"[[0.5, 1]]"\n')
    (found,) = samples(with_folder(load_recipe(SPEECH), tmp_path))
    assert found.label == [[0.5, 1]]
    assert (found.attributes["sample_rate_hz"], len(found.value)) == (16000, 1600)


def test_without_labels_nothing_is_scored_and_that_is_told(tmp_path: Path) -> None:
    told: list[StepEvent] = []
    with listening(told.append):
        recipe = with_folder(load_recipe(SPEECH), write(tmp_path, "call.wav", "cover.png"))
    assert (recipe.metrics, recipe.accept) == ((), {})
    assert [one.name for one in samples(recipe)] == ["call.wav"]
    assert any("labels.csv" in str(one) for one in told)


def test_pipelines_take_folders_likewise(tmp_path: Path) -> None:
    reads = load_pipeline("vision/read-text")
    plain = with_folder(reads, write(tmp_path, "page.png", "hello.wav"))
    assert (plain.metrics, [one.name for one in samples(plain)]) == ((), ["page.png"])
    write(tmp_path, labels__csv="page.png,Total 1,5 EUR\n")
    labelled = with_folder(reads, tmp_path)
    assert labelled.metrics == reads.metrics
    assert [one.label for one in samples(labelled)] == ["Total 1,5 EUR"]
    write(tmp_path, transcription="hello good morning\n")
    (tmp_path / "labels.csv").unlink()
    (heard,) = samples(with_folder(load_pipeline("speech/whisper-base"), tmp_path))
    assert (heard.label, heard.attributes["sample_rate_hz"]) == ("good morning", 16000)


def test_keywords_of_the_other_half(tmp_path: Path) -> None:
    write(tmp_path, "a.bin", "b.bin", y_labels__csv="a.bin,12,7\nb.bin,12,7\nother.bin,12,1\n")
    assert labels(KEYWORDS, tmp_path) == [("a.bin", 7), ("b.bin", 7)]


def test_whose_data_it_is_is_told(tmp_path: Path) -> None:
    mine = write(tmp_path, "call.wav")
    for recipe in map(load_recipe, (SPEECH, KEYWORDS)):
        assert told_data(recipe) == "the recipe's data"
        assert told_data(with_folder(recipe, mine)) == f"the data of {tmp_path.name}"


def test_pictures_in_the_form_of_mlperf_tiny(tmp_path: Path) -> None:
    pixels = np.arange(27, dtype=np.uint8)
    (tmp_path / "a.bin").write_bytes(pixels.tobytes())
    write(tmp_path, y_labels__csv="a.bin,2,1\n")
    (found,) = samples(with_folder(load_recipe("tiny/visual-wake-words"), tmp_path))
    assert (found.name, found.label) == ("a.bin", 1)
    np.testing.assert_array_equal(found.value, pixels.reshape(3, 3, 3))
    (tmp_path / "a.bin").write_bytes(bytes(28))
    with pytest.raises(ConfigurationError, match="28 bytes, which no square picture"):
        labels("tiny/visual-wake-words", tmp_path)


def test_arrays_of_one_file_are_those_of_the_folder(tmp_path: Path) -> None:
    data, label = np.zeros((2, 64), np.float32), np.array([4, 7])
    np.savez(tmp_path / "mine.npz", data=data, label=label)
    assert [label for _, label in labels("relay/digits", tmp_path)] == [4, 7]


def test_noise_is_put_on_recordings_whose_text_nobody_knows(tmp_path: Path) -> None:
    found = labels("speech/dtln", write(tmp_path, "b.wav", "a.wav"))
    assert found == [(f"{name}.wav at {ratio} dB", None) for name in "ab" for ratio in (5, 0)]


def test_reviews_as_imdb_s_own_archive_has_them(tmp_path: Path) -> None:
    for name in ("train/pos/0.txt", "test/pos/0.txt", "test/pos/1.txt", "test/neg/0.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = samples(with_folder(load_recipe("text/sentiment-lstm"), tmp_path))
    assert [(one.attributes["text"], one.label) for one in found] == [
        ("test/neg/0.txt", "negative"),
        ("test/pos/0.txt", "positive"),
        ("test/pos/1.txt", "positive"),
    ]


@pytest.mark.parametrize(
    ("name", "where", "told"),
    [
        ("a.png", "bird/a.png", "not a picture"),
        ("a.wav", "a.wav", "not a PCM WAV file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, where: str, told: str) -> None:
    path = write(tmp_path, where) / where
    damaged = bytearray(path.read_bytes())
    # A chunk of a PNG that nobody knows, which Pillow calls a SyntaxError; or a file cut short.
    damaged[37:41] = b"\xa3\x94uL" if name == "a.png" else damaged[37:41]
    path.write_bytes(damaged if name == "a.png" else damaged[:20])
    recipe = NAMED if name == "a.png" else SPEECH
    with pytest.raises(ConfigurationError, match=f"{where}: {told}"):
        labels(recipe, tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        with_folder(load_recipe(SPEECH), tmp_path / "nowhere")
    with pytest.raises(UsageError, match="it is no folder"):
        with_folder(load_recipe(SPEECH), write(tmp_path, "call.wav") / "call.wav")


def test_of_an_empty_folder_no_labels_are_asked_for(tmp_path: Path) -> None:
    told: list[StepEvent] = []
    with listening(told.append):
        recipe = with_folder(load_recipe(SPEECH), tmp_path)
    assert not told
    with pytest.raises(ConfigurationError, match="no recordings in it"):
        samples(recipe)


def car(folder: Path, name: str, *spectra: float) -> None:
    """A recording of spectra that are alike in all their bands."""
    (folder / name).write_bytes(np.repeat(np.float32(spectra), 128).astype("<f4").tobytes())


def test_broken_cars_are_those_that_are_repeated_worse(tmp_path: Path) -> None:
    """By hand: a network that answers 0 is off by the mean of the squares of each window."""
    car(tmp_path, "whole_1.bin", 1, 1, 1, 1, 1, 1)
    car(tmp_path, "whole_2.bin", 3, 3, 3, 3, 3)
    car(tmp_path, "broken.bin", 2, 2, 2, 2, 2)
    rows = [
        f"{name}.bin,2,{label},2560,512"
        for name, label in (("whole_1", 0), ("whole_2", 0), ("broken", 1), ("gone", 1))
    ]
    write(tmp_path, y_labels__csv="\n".join(rows))
    recipe = with_folder(load_recipe("tiny/anomaly-detection-int8"), tmp_path)
    found = samples(recipe)
    assert [one.name for one in found] == [
        "whole_1.bin 0",
        "whole_1.bin 1",
        "whole_2.bin 0",
        "broken.bin 0",
    ]
    (given,) = prepare(recipe, found[0]).values()
    assert (given.shape, given.dtype) == ((1, 640), np.int8)
    zero = {"out": np.zeros((1, 640), np.float32)}
    plain = with_folder(load_recipe("tiny/anomaly-detection"), tmp_path)
    predictions = [interpret(plain, zero, one) for one in found]
    assert [one["error"] for one in predictions] == [1, 1, 9, 4]
    assert math.isclose(score(plain, predictions, found)["car_auc"], 0.5)
    with pytest.raises(ConfigurationError, match="all of its recordings"):
        score(plain, predictions[:2], found[:2])
    write(tmp_path, y_labels__csv="broken.bin,2,2,2560,512\n")
    with pytest.raises(ConfigurationError, match=r"y_labels\.csv:1: no `file,2,label,2560,stride`"):
        samples(plain)
