"""Speech under noise, what is made of it, and the features and networks of the speech recipes."""

from __future__ import annotations

import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.recipes import (
    ModelFile,
    Processing,
    Recipe,
    Sample,
    StreamSpec,
    interpret,
    load_recipe,
    model_file,
    prepare,
    run_module,
    samples,
    scale_invariant_ratio_db,
    score,
)
from edgetvm.recipes.noise import speech_power, with_noise

RECIPES = Path(__file__).parents[2] / "recipes" / "speech"


def recipe(**keys: Any) -> Recipe:
    return Recipe("test", "test", "test", "MIT", ModelFile(path=Path("m.onnx")), **keys)


def of_source(name: str, **parameters: Any) -> tuple[Sample, ...]:
    return samples(recipe(data=Processing(name, parameters)))


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_is_as_strong_as_asked_and_the_same_each_time(kind: Any, snr_db: float) -> None:
    tone = 0.9 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    whole = np.concatenate([np.zeros(16000), tone]).astype(np.float32)
    clean, noisy = with_noise(whole, snr_db, kind, 3)
    again = with_noise(whole, snr_db, kind, 3)[1]
    assert (noisy == again).all()
    assert np.abs(noisy).max() < 1
    noise = noisy - clean
    measured = 10 * np.log10(np.square(clean[16000:]).mean() / np.square(noise).mean())
    assert measured == pytest.approx(snr_db, abs=0.1)
    # Pink noise has as much power in each octave, white twice as much as in the one below.
    power = np.square(np.abs(np.fft.rfft(noise)))
    octaves = [power[low : 2 * low].sum() for low in (1000, 2000, 4000)]
    steps = [above / below for below, above in pairwise(octaves)]
    assert steps == pytest.approx([1.0 if kind == "pink" else 2.0] * 2, rel=0.15)


def test_silence_has_no_power_and_gets_no_noise() -> None:
    clean, noisy = with_noise(np.zeros(1000, np.float32), 10.0, "white", 0)
    assert speech_power(clean) == 0
    assert not noisy.any()


def test_only_the_wanted_lines_are_spans() -> None:
    found = of_source(
        "noisy-speech",
        wanted=("alexa", "okay"),
        others=("one two", "three"),
        voices=("en", "en-us"),
        snr_db=(30.0, 10.0),
        pause_s=0.5,
    )
    assert [one.name for one in found] == ["speech at 30 dB", "speech at 10 dB"]
    first, second = found
    assert first.label == second.label
    assert isinstance(first.label, list)
    assert len(first.label) == 4
    clean = first.attributes["clean"]
    spoken = np.abs(clean) > 0.01
    for start, end in first.label:
        assert spoken[int(start * 16000) : int(end * 16000)].any()
        spoken[int(start * 16000) : int(end * 16000)] = False
    # What is left is the others: said before each wanted line.
    assert spoken[: int(first.label[0][0] * 16000)].any()
    assert not spoken[int(first.label[-1][1] * 16000) :].any()


def write_wav(path: Path, values: np.ndarray[Any, Any]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((values * 32767).astype("<i2").tobytes())


def test_recordings_come_with_their_texts(tmp_path: Path) -> None:
    for name in ("a-1", "b_2"):
        write_wav(tmp_path / f"{name}.wav", 0.5 * np.ones(800))
    (tmp_path / "list").write_text("<s> he was young </s> (a-1)\n\nb_2  and  old\n")
    found = of_source("recordings-with-texts", folder=str(tmp_path), texts="list")
    assert [(one.name, one.label) for one in found] == [
        ("a-1.wav", "he was young"),
        ("b_2.wav", "and  old"),
    ]
    noisy = of_source(
        "recordings-with-texts", folder=str(tmp_path), texts="list", snr_db=(10.0, 0.0)
    )
    assert [one.label for one in noisy] == ["he was young"] * 2 + ["and  old"] * 2
    assert not np.array_equal(noisy[0].value, noisy[1].value)


@pytest.mark.parametrize("line", ["alone", "<s> text </s> (../out)", "../out a text"])
def test_a_line_without_a_recording_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "transcription").write_text(f"{line}\n")
    with pytest.raises(ConfigurationError, match="no text with its recording") as caught:
        of_source("recordings-with-texts", folder=str(tmp_path))
    assert caught.value.where == f"{tmp_path}/transcription:1"


def test_a_missing_list_names_the_package_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError) as caught:
        of_source("recordings-with-texts", folder=str(tmp_path), debian_package="some-speech")
    assert caught.value.mend == "run: apt-get install some-speech"


def write_common_voice(folder: Path) -> None:
    (folder / "clips").mkdir()
    rows = ["client_id\tpath\tsentence_id\tsentence\tup_votes"]
    for name, sentence in (("one.mp3", "He\u2019s here: isn't he?"), ("two.mp3", "Zwei Äpfel.")):
        write_wav(folder / "clips" / name, 0.5 * np.ones(800))
        rows.append(f"c\t{name}\t7\t{sentence}\t2")
    (folder / "test.tsv").write_text("\n".join(rows) + "\n")


def test_common_voice_as_mozilla_packs_it(tmp_path: Path) -> None:
    write_common_voice(tmp_path)
    found = of_source("common-voice", folder=str(tmp_path), sample_rate_hz=8000)
    assert [(one.name, one.label) for one in found] == [
        ("one.mp3", "he's here isn't he"),
        ("two.mp3", "zwei äpfel"),
    ]
    assert [len(one.value) for one in found] == [400, 400]
    (one,) = of_source("common-voice", folder=str(tmp_path), most=1)
    assert one.attributes == {"sample_rate_hz": 16000}
    (tmp_path / "test.tsv").write_text("client_id\tpath\tsentence\nsomebody\n")
    with pytest.raises(ConfigurationError, match=r"test\.tsv:2: fewer columns than its head"):
        of_source("common-voice", folder=str(tmp_path))
    (tmp_path / "test.tsv").write_text("path\tup_votes\n")
    with pytest.raises(ConfigurationError, match="no columns `path` and `sentence`"):
        of_source("common-voice", folder=str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"neither dev\.tsv nor dataset_info\.json"):
        of_source("common-voice", folder=str(tmp_path), split="dev")


def test_common_voice_as_hugging_face_saves_it(tmp_path: Path) -> None:
    import datasets

    write_common_voice(tmp_path)
    rows = {
        "audio": [{"bytes": (tmp_path / "clips" / "one.mp3").read_bytes(), "path": "one.mp3"}],
        "sentence": ["He\u2019s here."],
    }
    audio = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    features = datasets.Features({"audio": audio, "sentence": datasets.Value("string")})
    made = datasets.Dataset.from_dict(rows, features=features)
    made.cast_column("audio", datasets.Audio(decode=False)).save_to_disk(str(tmp_path / "saved"))
    (one,) = of_source("common-voice", folder=str(tmp_path / "saved"))
    assert (one.name, one.label, len(one.value)) == ("one.mp3", "he's here", 800)


STREAM = StreamSpec(16000, 8, 2, "window")


def overlapped(frames: Any, sample: Sample) -> Any:
    whole = recipe(stream=STREAM, postprocess=Processing("overlap-add"))
    return interpret(whole, {"frame": frames}, sample)


@given(st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_windows_overlapped_and_added_are_the_signal(count: int) -> None:
    signal = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    sample = Sample("s", signal, None, {"sample_rate_hz": 16000})
    windows = prepare(recipe(stream=STREAM, preprocess=Processing("audio-windows")), sample)
    # Every sample stands in four windows, but the last ones in fewer: their windows never came.
    found = np.array(overlapped(windows["window"], sample)["signal"])
    assert len(found) == count
    whole = max(0, count - 6)
    assert found[:whole] == pytest.approx(4 * signal[:whole], rel=1e-5)


def test_the_ratio_of_signals_does_not_depend_on_their_level() -> None:
    clean = np.sin(np.arange(4000) * 0.1)
    noise = np.random.default_rng(0).standard_normal(4000)
    noise -= noise.mean() + clean * (noise @ clean) / (clean @ clean)
    noise *= np.sqrt((clean @ clean) / (noise @ noise) / 10)  # 10 dB below
    found = [scale_invariant_ratio_db(level * (clean + noise), clean) for level in (1.0, 0.1)]
    assert found == pytest.approx([10.0, 10.0], abs=0.05)
    assert scale_invariant_ratio_db(clean, clean) == 100.0


def test_what_is_better_than_the_noisy_speech_is_scored_above_zero() -> None:
    clean = np.sin(np.arange(4000) * 0.1)
    noisy = clean + 0.5 * np.random.default_rng(0).standard_normal(4000)
    sample = Sample("s", noisy.astype(np.float32), None, {"clean": clean})
    metrics = ("si_sdr_improvement_db",)
    whole = recipe(
        stream=STREAM,
        data=Processing("noisy-speech", {"wanted": ("one",), "others": ()}),
        postprocess=Processing("overlap-add"),
        metrics=metrics,
    )
    better = {"signal": (clean + (noisy - clean) / 10).tolist()}
    assert score(whole, [better], [sample])["si_sdr_improvement_db"] == pytest.approx(20, abs=0.3)
    assert score(whole, [{"signal": noisy.tolist()}], [sample])[metrics[0]] == pytest.approx(
        0, abs=1e-6
    )
    with pytest.raises(ConfigurationError, match="without its noise"):
        score(whole, [better], [Sample("s", noisy, None, {})])


def module_of(name: str) -> Any:
    return run_module(RECIPES / f"{name}.py")


# By pymicro-features 2.0.2, of the signal below.
GOLDEN = {
    0: [660, 608, 665, 602, 647, 587, 634, 587, 636, 588, 639, 592, 647, 587, 643, 590, 632, 590]
    + [637, 590, 641, 588, 640, 588, 641, 592, 643, 592, 647, 595, 648, 595, 648, 593, 647, 593]
    + [648, 595, 647, 593],
    20: [248, 0, 0, 0, 0, 0, 0, 0, 0, 0, 581, 567, 498, 325, 454, 287, 362, 0, 439, 236, 414, 236]
    + [432, 342, 353, 0, 378, 0, 369, 331, 342, 177, 432, 274, 468, 280, 451, 248, 379, 258],
    46: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 448, 603, 280, 258, 0, 236, 203, 280]
    + [0, 258, 0, 0, 133, 368, 266, 274, 222, 346, 0, 366, 274, 336, 248],
}


def test_micro_features_are_those_of_the_board() -> None:
    t = np.arange(8000) / 16000
    noise = 0.02 * np.random.default_rng(5).standard_normal(8000)
    signal = (0.3 * np.sin(2 * np.pi * (200 * t + 1500 * t * t)) + noise).astype(np.float32)
    found = module_of("micro_features").features(signal) * 25.6
    assert found.shape == (48, 40)
    for row, expected in GOLDEN.items():
        apart = np.abs(found[row] - expected)
        # Its Fourier transform is in 16 bits: one of int8's steps is 2.6 of these.
        assert np.median(apart) <= 1
        assert (apart <= 10).mean() > 0.9


def test_dtln_is_its_two_networks_with_a_fourier_transform_between(session_cache: Path) -> None:
    chosen = load_recipe(str(RECIPES / "dtln.yaml"))
    joined, first, second = (
        onnxruntime.InferenceSession(str(path))
        for path in (model_file(chosen), *module_of("dtln").networks())
    )
    states = [np.zeros((1, 2, 128, 2), np.float32) for _ in range(2)]
    carried = {"mask_state": states[0], "clean_state": states[1]}
    random = np.random.default_rng(0)
    for _ in range(4):
        window = random.uniform(-0.5, 0.5, 512).astype(np.float32)
        spectrum = np.fft.rfft(window)
        magnitude = np.abs(spectrum).reshape(1, 1, 257).astype(np.float32)
        mask, states[0] = first.run(None, {"input_2": magnitude, "input_3": states[0]})
        masked = np.fft.irfft(spectrum * mask.reshape(257), 512).astype(np.float32)
        frame, states[1] = second.run(
            None, {"input_4": masked.reshape(1, 1, 512), "input_5": states[1]}
        )
        found, *after = joined.run(None, {"window": window.reshape(1, 512), **carried})
        carried = dict(zip(carried, after, strict=True))
        assert found == pytest.approx(frame, abs=1e-5)


def answered(path: Path, given: Any) -> Any:
    interpreter = Interpreter(str(path))
    number = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(number, given.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(number, given)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_openwakeword_is_its_three_networks_after_silence(session_cache: Path) -> None:
    chosen = load_recipe(str(RECIPES / "openwakeword-alexa.yaml"))
    network = module_of("openwakeword").network
    bands, embedding, word = map(network, ("melspectrogram", "embedding_model", "alexa"))
    signal = 0.1 * np.random.default_rng(0).standard_normal(1280 * 3).astype(np.float32)
    sample = Sample("s", signal, [], {"sample_rate_hz": 16000})
    windows = prepare(chosen, sample)["sound"]

    interpreter = Interpreter(str(model_file(chosen)))
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    states = [np.zeros(one["shape"], np.float32) for one in inputs[1:]]

    # As pyopen_wakeword runs it: all frames and embeddings are kept, silence came before.
    frames = np.concatenate(
        [
            answered(bands, window * 32767).reshape(-1, 32) / 10 + 2
            for window in [np.zeros((1, 1760), np.float32)] * 30 + list(windows)
        ]
    )
    embeddings = np.stack(
        [
            answered(embedding, frames[end - 76 : end].reshape(1, 76, 32, 1)).ravel()
            for end in range(76 + 8 * 5, len(frames) + 1, 8)
        ]
    )
    for index, window in enumerate(windows):
        for one, value in zip(inputs, [window, *states], strict=True):
            interpreter.set_tensor(one["index"], value)
        interpreter.invoke()
        found, *states = (interpreter.get_tensor(one["index"]) for one in outputs)
        last = len(embeddings) - len(windows) + index + 1
        expected = answered(word, embeddings[last - 16 : last].reshape(1, 16, 96))
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
