"""Recordings of one's own: from a file, and from a microphone that a program plays."""

from __future__ import annotations

import os
import stat
import wave
from pathlib import Path

import numpy as np
import pytest

from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.recipes import load_recipe, prepare, record, samples, with_audio


def written(path: Path, seconds: float, rate_hz: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(np.zeros(round(seconds * rate_hz), "<i2").tobytes())
    return path


def arecord(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, the only one on the path beside the shell's."""
    path = folder / "arecord"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")


def test_a_recording_takes_the_place_of_a_recipe_s_data(tmp_path: Path) -> None:
    recipe = with_audio(load_recipe("speech/silero-vad"), written(tmp_path / "a.wav", 0.32, 8000))
    assert recipe.metrics == ()
    (sample,) = samples(recipe)
    # 0.32 s at 16 kHz: ten chunks of 512, each with 64 samples of the one before.
    assert prepare(recipe, sample)["input"].shape == (10, 1, 576)
    with pytest.raises(UsageError, match="it takes no audio"):
        with_audio(load_recipe("vision/ppocr-cls"), tmp_path / "a.wav")


def test_the_microphone_is_asked_for_so_many_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arecord(tmp_path, f'echo "$@" > {tmp_path}/said; head -c 48000 /dev/zero', monkeypatch)
    record(tmp_path / "new.wav", 1.5, 16000)
    said = (tmp_path / "said").read_text().split()
    assert said == "-q -t raw -f S16_LE -c 1 -r 16000 -s 24000 -".split()
    with wave.open(str(tmp_path / "new.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 24000)


def test_a_microphone_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arecord(
        tmp_path, "echo 'arecord: main: audio open error: No such file' >&2; exit 1", monkeypatch
    )
    with pytest.raises(ConfigurationError, match="audio open error"):
        record(tmp_path / "new.wav", 0.1, 16000)
    arecord(tmp_path, "head -c 20 /dev/zero", monkeypatch)
    with pytest.raises(ConfigurationError, match="arecord cannot record: it ended too soon"):
        record(tmp_path / "new.wav", 0.1, 16000)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MissingToolError, match="apt-get install alsa-utils"):
        record(tmp_path / "new.wav", 0.1, 16000)
