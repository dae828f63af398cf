"""A video of one's own: from a folder of pictures, and from a file that a program decodes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgetvm.base.errors import ConfigurationError, MissingToolError, UsageError
from edgetvm.recipes import frame_rate_hz, load_recipe, samples, with_video


def program(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, beside the shell's."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")


def picture(path: Path, grey: int) -> Path:
    """A picture of one colour."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), grey, np.uint8)).save(path)
    return path


def test_pictures_of_a_folder_are_frames_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, grey in (("b", 20), ("a", 10), ("c", 30)):
        picture(tmp_path / "frames" / f"{name}.png", grey)
    recipe = with_video(load_recipe("tiny/image-classification"), tmp_path / "frames")
    assert (recipe.metrics, dict(recipe.accept)) == ((), {})
    assert [int(one.value[0, 0, 0]) for one in samples(recipe)] == [10, 20, 30]  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="it takes no pictures"):
        with_video(load_recipe("speech/silero-vad"), tmp_path / "frames")


def test_a_video_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = picture(tmp_path / "frame.png", 77)
    script = (
        f'for last; do :; done; echo "$@" >> {tmp_path}/said; cp {frame} "${{last%/*}}/000001.png"'
    )
    program(tmp_path, "ffmpeg", script, monkeypatch)
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    for _ in range(2):
        recipe = with_video(load_recipe("tiny/image-classification"), tmp_path / "clip.mp4")
        (sample,) = samples(recipe)
        assert sample.value[0, 0, 0] == 77  # type: ignore[call-overload]
    (said,) = (tmp_path / "said").read_text().splitlines()
    assert said.startswith(f"-v error -i {tmp_path}/clip.mp4 -frames:v 100 ")


def test_the_frame_rate_is_the_video_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for told, rate_hz in (("30000/1001", 29.97), ("25/1,", 25.0)):
        program(tmp_path, "ffprobe", f"echo {told}", monkeypatch)
        assert frame_rate_hz(tmp_path / "clip.mp4") == pytest.approx(rate_hz, abs=0.001)
    program(tmp_path, "ffprobe", "echo 0/0", monkeypatch)
    with pytest.raises(ConfigurationError, match="does not tell its frame rate"):
        frame_rate_hz(tmp_path / "clip.mp4")
    program(tmp_path, "ffprobe", "echo 'moov atom not found' >&2; exit 1", monkeypatch)
    with pytest.raises(ConfigurationError, match="ffprobe cannot read it: moov atom not found"):
        frame_rate_hz(tmp_path / "clip.mp4")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MissingToolError, match="apt-get install ffmpeg"):
        frame_rate_hz(tmp_path / "clip.mp4")
