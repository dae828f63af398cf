"""Real TFLite models against LiteRT: those of Python packages, and folders of the user's own.

`EDGETVM_MODELS=FOLDER pytest -k tflite_real` takes every TFLite file below FOLDER too. Beside a
folder `data/kws01` of labelled keyword inputs, `kws_ref_model.tflite` must hear as LiteRT does.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from litert import Built, streams_agree
from numpy.typing import NDArray

from edgetvm.base.paths import model_folders
from edgetvm.models import ImportOptions, import_model
from edgetvm.models.correctness import worst_error
from edgetvm.models.fills import fill
from edgetvm.models.reference import Source, reference_for
from edgetvm.package.gate import TOLERANCE
from edgetvm.recipes import ModelFile, fetch

# The user's folders are read before the tests' own home hides them.
FOLDERS = model_folders()
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.tflite"))
KEYWORDS = [path for path in FILES if path.name == "kws_ref_model.tflite"]
LABELS = [path for folder in FOLDERS for path in folder.parent.glob("data/kws01/y_labels.csv")]

WAKE = "pyopen-wakeword==1.1.0"
PACKAGED = {
    "hey_jarvis": "14bff778604985e1b5c19f0f7bbe477a69cf281d8db34b232b3b972411f710e2",
    "okay_nabu": "2982cecde4ee81cc7a2573d2602a7d54f0669425c94a7b64af77e0ff92b03a18",
    "embedding_model": "c0aea21eb84a4ce90a08c870da41b7a7173b45269e6a3207c71d67c40f3a59d8",
}
MELSPECTROGRAM = "96fa0adccb6e8cf95cb14465409a1a2898ee4a96a85bb9ed3c7eb0e68bf163e8"
PITCH = "3db297d54af8e01c6e5618245c956b1d71b6a2b978cb2dedb527173186552676"


def agree(path: Path, options: ImportOptions | None = None, tolerance: float = TOLERANCE) -> None:
    """On random inputs, a quantised model to one quantum; a stream chunk by chunk."""
    model = import_model(path, options)
    if model.signature.states:
        streams_agree(path, 20)
        return
    built, reference = Built(model, large=True), reference_for(Source.of(model))
    for seed in range(2):
        inputs = fill(model.signature, "random", seed)
        expected = reference.run(inputs)
        answers = built.run([inputs[spec.name] for spec in model.signature.inputs])
        found = dict(zip(expected, answers, strict=True))
        error = worst_error(found, expected, model.signature.quanta)
        assert error.max_relative_error <= tolerance, error


@pytest.mark.parametrize("name", PACKAGED)
def test_wake_words(name: str, session_cache: Path) -> None:
    file = f"pyopen_wakeword/models/{name}.tflite"
    agree(fetch(ModelFile(package=WAKE, file=file, sha256=PACKAGED[name])))


def test_mel_spectrogram_of_the_length_that_is_asked_for(session_cache: Path) -> None:
    file = "pyopen_wakeword/models/melspectrogram.tflite"
    path = fetch(ModelFile(package=WAKE, file=file, sha256=MELSPECTROGRAM))
    (source,) = import_model(path).signature.inputs
    assert source.shape == (1, 512)  # the shortest that its windows fit into
    agree(path, ImportOptions(shapes={source.name: (1, 1760)}))


def test_pitches(session_cache: Path) -> None:
    file = "basic_pitch/saved_models/icassp_2022/nmp.tflite"
    agree(fetch(ModelFile(package="basic-pitch==0.4.0", file=file, sha256=PITCH)))


if FILES:  # without the folder there is nothing to collect

    @pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
    def test_models_of_the_users_folder(path: Path) -> None:
        agree(path)


def keywords() -> tuple[NDArray[np.int8], list[int]]:
    with LABELS[0].open() as lines:
        rows = [[word.strip() for word in row] for row in csv.reader(lines) if row]
    heard = [row for row in rows if (LABELS[0].parent / row[0]).exists()]
    arrays = [np.fromfile(LABELS[0].parent / row[0], np.int8) for row in heard]
    return np.stack(arrays).reshape(-1, 1, 49, 10, 1), [int(row[2]) for row in heard]


if KEYWORDS and LABELS:

    def test_keywords_are_heard_as_litert_hears_them() -> None:
        model = import_model(KEYWORDS[0])
        built, reference = Built(model, large=True), reference_for(Source.of(model))
        (source,) = model.signature.inputs
        arrays, labels = keywords()
        ours, theirs = 0, 0
        for array, label in zip(arrays, labels, strict=True):
            found = built.run([array])[0]
            expected = next(iter(reference.run({source.name: array}).values()))
            np.testing.assert_array_equal(found, expected)
            ours += int(found.argmax() == label)
            theirs += int(expected.argmax() == label)
        print(f"{ours} and {theirs} of {len(labels)} right")
        assert ours == theirs > 0.8 * len(labels)
