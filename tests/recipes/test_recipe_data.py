"""Data sources and preprocessing against values reckoned by hand."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.recipes import (
    InputSpec,
    ModelFile,
    Processing,
    Recipe,
    Sample,
    StreamSpec,
    prepare,
    samples,
)


def recipe(**keys: Any) -> Recipe:
    return Recipe("test", "test", "test", "MIT", ModelFile(path=Path("m.onnx")), **keys)


def of_source(name: str, **parameters: Any) -> tuple[Sample, ...]:
    return samples(recipe(data=Processing(name, parameters)))


def test_without_data_there_are_no_samples() -> None:
    assert samples(recipe()) == ()


def test_a_page_is_the_same_each_time_and_its_boxes_hold_the_ink() -> None:
    (page,) = of_source("rendered-page", lines=["one", "two words"], size=(200, 120))
    (again,) = of_source("rendered-page", lines=["one", "two words"], size=(200, 120))
    assert isinstance(page.value, np.ndarray)
    assert isinstance(again.value, np.ndarray)
    assert page.value.shape == (120, 200, 3)
    assert (page.value == again.value).all()
    ink = page.value[:, :, 0] < 255
    assert isinstance(page.label, list)
    for x0, y0, x1, y1 in page.label:
        assert ink[y0:y1, x0:x1].any()
        ink[y0:y1, x0:x1] = False
    assert not ink.any()


def test_a_turned_page_has_turned_boxes() -> None:
    upright, turned = of_source("rendered-page", lines=["one"], rotations=[0, 180])
    assert isinstance(upright.value, np.ndarray)
    assert isinstance(turned.value, np.ndarray)
    assert (turned.value == upright.value[::-1, ::-1]).all()
    height, width, _ = upright.value.shape
    assert isinstance(upright.label, list)
    ((x0, y0, x1, y1),) = upright.label
    assert turned.label == [[width - x1, height - y1, width - x0, height - y0]]
    labels = of_source("rendered-page", lines=["one"], rotations=[0, 180], label="rotation")
    assert [sample.label for sample in labels] == ["0", "180"]
    assert of_source("rendered-page", lines=["a", "b"], label="text")[0].label == "a\nb"


def test_lines_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"do not fit.*at least"):
        of_source("rendered-page", lines=["a long line of text"], size=(50, 50))


def test_a_picture_is_rgb(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    (sample,) = of_source("picture", source=ModelFile(path=tmp_path / "a.png"), label="grey")
    assert isinstance(sample.value, np.ndarray)
    assert sample.value.tolist() == [[[7, 7, 7]] * 3] * 2
    assert sample.label == "grey"
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ConfigurationError, match="not a picture"):
        of_source("picture", source=ModelFile(path=tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("width", "raw"),
    [
        (1, bytes([128, 64, 255, 0])),
        (2, np.array([0, -16384, 32512, -32768], "<i2").tobytes()),
        (3, bytes([0, 0, 0, 0, 0, 0xC0, 0, 0, 0x7F, 0, 0, 0x80])),
        (4, np.array([0, -(1 << 30), 127 << 24, -(1 << 31)], "<i4").tobytes()),
    ],
)
def test_a_wav_of_any_width_is_between_minus_one_and_one(
    tmp_path: Path, width: int, raw: bytes
) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, width, 8000, 0, "NONE", ""))
        file.writeframes(raw)
    (sample,) = of_source("wav", source=ModelFile(path=path))
    assert isinstance(sample.value, np.ndarray)
    assert sample.value.dtype == np.float32
    np.testing.assert_allclose(sample.value, [0, -0.5, 0.9921875, -1], atol=1e-6)
    assert sample.attributes["sample_rate_hz"] == 8000


def test_a_wav_is_mixed_and_resampled(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    left = np.round(np.sin(np.arange(4410) * 2 * np.pi * 440 / 44100) * 16384).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(np.stack([left, np.zeros_like(left)], axis=1).tobytes())
    (sample,) = of_source("wav", source=ModelFile(path=path), sample_rate_hz=16000)
    assert isinstance(sample.value, np.ndarray)
    assert len(sample.value) == 1600
    expected = 0.25 * np.sin(np.arange(1600) * 2 * np.pi * 440 / 16000)
    np.testing.assert_allclose(sample.value[100:-100], expected[100:-100], atol=1e-3)
    path.write_bytes(b"RIFF")
    with pytest.raises(ConfigurationError, match="not a PCM WAV"):
        of_source("wav", source=ModelFile(path=path))


def test_npz_arrays_are_the_inputs(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), y=np.ones(2))
    (sample,) = of_source("npz", source=ModelFile(path=path), inputs=["x"])
    assert prepare(recipe(), sample)["x"].tolist() == [0, 1, 2]
    with pytest.raises(ConfigurationError, match=r"no array .*'z'"):
        of_source("npz", source=ModelFile(path=path), inputs=["z"])
    np.save(tmp_path / "b.npy", np.arange(3))
    for name in ("b.npy", "c.npz"):
        (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 cut")
        with pytest.raises(ConfigurationError, match=r"numpy\.savez"):
            of_source("npz", source=ModelFile(path=tmp_path / name))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_speech_lies_where_the_label_says() -> None:
    parameters = {"phrases": ["hello", "good bye"], "pause_s": 0.5, "sample_rate_hz": 16000}
    (sample,) = of_source("espeak", **parameters)
    (again,) = of_source("espeak", **parameters)
    assert isinstance(sample.value, np.ndarray)
    assert isinstance(again.value, np.ndarray)
    assert (sample.value == again.value).all()
    assert 0.05 < np.abs(sample.value).max() <= 1
    assert isinstance(sample.label, list)
    loud = np.zeros(len(sample.value), bool)
    for start_s, end_s in sample.label:
        loud[round(start_s * 16000) : round(end_s * 16000)] = True
    assert len(sample.label) == 2
    assert sample.label[0][0] >= 0.5
    assert np.abs(sample.value[~loud]).max() < 0.05 * np.abs(sample.value).max()


def test_without_espeak_the_mend_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="apt-get install espeak-ng"):
        of_source("espeak", phrases=["hello"])


def image_recipe(shape: tuple[int, ...], **parameters: Any) -> Recipe:
    inputs = {"x": InputSpec(shape), "n": InputSpec(value=1)}
    return recipe(inputs=inputs, preprocess=Processing("image", parameters))


PIXELS = np.array([[[0, 51, 255], [102, 153, 204]]], np.uint8)  # 1 x 2


def test_pixels_are_scaled_normalised_and_ordered() -> None:
    sample = Sample("a", PIXELS)
    plain = prepare(image_recipe((1, 3, 1, 2)), sample)
    assert list(plain) == ["x"]
    assert plain["x"].dtype == np.float32
    np.testing.assert_allclose(plain["x"], [[[[0, 0.4]], [[0.2, 0.6]], [[1, 0.8]]]], atol=1e-6)
    bgr = prepare(image_recipe((1, 1, 2, 3), layout="nhwc", colour="bgr"), sample)
    np.testing.assert_allclose(bgr["x"], [[[[1, 0.2, 0], [0.8, 0.6, 0.4]]]], atol=1e-6)
    centred = image_recipe((1, 3, 1, 2), mean=[0.5], std=[0.5, 0.25, 1])
    expected = [[[[-1, -0.2]], [[-1.2, 0.4]], [[0.5, 0.3]]]]
    np.testing.assert_allclose(prepare(centred, sample)["x"], expected, atol=1e-6)


def test_whole_types_are_rounded_and_kept_in_their_limits() -> None:
    same = prepare(
        image_recipe((1, 1, 2, 3), layout="nhwc", scale=1, dtype="uint8"), Sample("a", PIXELS)
    )
    assert same["x"].dtype == np.uint8
    assert (same["x"][0] == PIXELS).all()
    shifted = image_recipe((1, 3, 1, 2), scale=1, mean=[127.6], dtype="int8")
    assert prepare(shifted, Sample("a", PIXELS))["x"].ravel().tolist() == [
        -128,
        -26,
        -77,
        25,
        127,
        76,
    ]


def test_keeping_the_aspect_pads_below_and_to_the_right() -> None:
    sample = Sample("a", np.full((10, 20, 3), 255, np.uint8))
    wide = image_recipe((1, 3, 4, 4), keep_aspect=True, padding=-1)
    assert prepare(wide, sample)["x"][0, 0].tolist() == [[1] * 4] * 2 + [[-1] * 4] * 2
    low = image_recipe((1, 3, 2, 6), keep_aspect=True)
    assert prepare(low, sample)["x"][0, 0].tolist() == [[1, 1, 1, 1, 0, 0]] * 2


def test_a_picture_needs_a_shape_and_a_picture() -> None:
    bare = recipe(preprocess=Processing("image"))
    with pytest.raises(ConfigurationError, match="inputs: a picture needs the shape"):
        prepare(bare, Sample("a", PIXELS))
    with pytest.raises(ConfigurationError, match="preprocess takes a picture"):
        prepare(image_recipe((1, 3, 1, 2)), Sample("a", np.zeros(5, np.float32)))


def test_windows_overlap_and_begin_with_silence() -> None:
    stream = StreamSpec(8, 6, 4, "signal")
    parts = recipe(stream=stream, preprocess=Processing("audio-windows"))
    signal = np.arange(1, 11, dtype=np.float32)
    windows = prepare(parts, Sample("a", signal, attributes={"sample_rate_hz": 8}))["signal"]
    assert windows.shape == (3, 1, 6)
    assert windows[:, 0].tolist() == [
        [0, 0, 1, 2, 3, 4],
        [3, 4, 5, 6, 7, 8],
        [7, 8, 9, 10, 0, 0],
    ]
    with pytest.raises(ConfigurationError, match="16 samples in a second, the stream 8"):
        prepare(parts, Sample("a", signal, attributes={"sample_rate_hz": 16}))
