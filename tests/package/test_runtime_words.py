"""What edgetvm-run says of mistakes: what was given, and what is wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_runtime import Builds

OPTIONS = {
    ("--repeat", "x"): "--repeat x: it is a number from 1 to 1000000",
    ("--repeat", "0"): "--repeat 0: it is a number from 1",
    ("--threads", "-1"): "--threads -1: it is a number from 0",
    ("--foo",): "there is no option --foo",
    ("--target",): "--target lacks its value",
    ("other.edgetvm",): "other.edgetvm is one package too many",
}


@pytest.mark.parametrize("given", OPTIONS, ids=" ".join)
def test_an_option_that_cannot_be_is_named_with_its_value(
    given: tuple[str, ...], builds: Builds, tiny: Any
) -> None:
    assert OPTIONS[given] in builds.sanitized()(tiny.path, *given, code=2).stderr


def test_an_input_of_another_name_is_told_from_a_missing_file(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    run = builds.sanitized()
    told = run(tiny.path, "--input", "foo=i.npy", code=3).stderr
    assert "there is no such input" in told and "the input is image" in told
    assert "cannot be read" in run(tiny.path, "--input", "image=i.npy", code=6).stderr
    odd = tmp_path / "a=b.npy"
    np.save(odd, tiny.checked.sample_inputs["image"])
    run(tiny.path, "--input", odd)


def test_an_array_that_does_not_fit_is_described_beside_what_is_wanted(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    image = tiny.checked.sample_inputs["image"]
    wanted = f"input image wants float32 of shape [{', '.join(map(str, image.shape))}]"
    path = tmp_path / "i.npy"
    for array, word in (
        (image.astype(np.float64), "'<f8'"),
        (image[0], f"({', '.join(map(str, image.shape[1:]))})"),
        (np.asfortranarray(image), "'fortran_order': True"),
    ):
        np.save(path, array)
        told = builds.sanitized()(tiny.path, "--input", f"image={path}", code=4).stderr
        assert word in told and wanted in told and "ascontiguousarray" in told


def test_outputs_are_shown_and_their_folder_is_made(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    told = builds.sanitized()(tiny.path, "--output", folder).stdout
    scores = np.load(folder / "output-0.npy")
    assert f"largest {scores.max():.6g} at {scores.argmax()} of {scores.size}" in told
    assert "the run took" in told and "p99" not in told
    assert "p99" in builds.sanitized()(tiny.path, "--repeat", 3).stdout
    assert (
        "cannot be written"
        in builds.sanitized()(tiny.path, "--output", tmp_path / "no" / "out", code=6).stderr
    )


def test_a_package_for_others_can_be_looked_at(builds: Builds, tiny: Any, tmp_path: Path) -> None:
    run = builds.sanitized()
    line = ("--target", "nowhere")
    told = run(tiny.path, "--info", *line).stdout
    assert "not for this machine: it holds no target nowhere" in told
    assert "for local (x86_64)" in told and "input  image: float32" in told
    document = json.loads(run(tiny.path, "--info", "--json", *line).stdout)
    assert document["targets"] == [{"profile": "local", "architecture": "x86_64"}]
    run(tiny.path, *line, code=15)
    emulated = builds.static("aarch64")
    assert "not for this machine" in emulated(tiny.path, "--info").stdout


def test_a_header_that_was_altered_asks_for_another_copy(
    builds: Builds, tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "m.edgetvm"
    data = bytearray(tiny.path.read_bytes())
    data[14] ^= 1  # of the manifest's checksum, as its own header tells it
    path.write_bytes(data)
    told = builds.sanitized()(path, code=9).stderr
    assert "manifest.json is told in two ways (copy it again)" in told
