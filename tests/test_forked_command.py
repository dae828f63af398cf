"""A command that is forked says and ends as one that is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from real_command import edgetvm


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("profiles show mine --json", 0),  # of a variable
        ("profiles show mine --jsom", 2),
        ("recipes show ./broken.yaml", 3),  # in a folder
        ("import gone.onnx", 4),
    ],
)
def test_words_and_codes_are_the_same(tmp_path: Path, words: str, code: int) -> None:
    profile = Path("devices/rpi4.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(profile.replace("name: rpi4", "name: mine"))
    (tmp_path / "broken.yaml").write_text("name: [")
    where: dict[str, Any] = {"folder": tmp_path, "environment": {"EDGETVM_DEVICES": str(tmp_path)}}
    started = edgetvm(*words.split(), **where, cold=True)
    assert started.code == code
    assert edgetvm(*words.split(), **where) == started
    assert edgetvm("profiles", "show", "mine").code != 0
