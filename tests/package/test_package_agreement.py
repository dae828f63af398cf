"""One package for three architectures: the C runtime's answers, and ONNX Runtime's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from real_board import onnx_runtime

from edgetvm.boards import load_profile
from edgetvm.models.fills import fill
from edgetvm.package import Package
from edgetvm.workflow import Subject, find_subject, package_for

PROFILES = {"local": None, "qemu-aarch64": "qemu-aarch64", "qemu-armv7": "qemu-arm"}


@pytest.fixture(scope="module")
def cached(shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        yield


@pytest.fixture(scope="module")
def subject(cached: None) -> Subject:
    """A real model with a state: it tells speech in a stream."""
    return find_subject("speech/silero-vad")


@pytest.fixture(scope="module")
def package(subject: Subject) -> Package:
    return package_for(subject, [load_profile(name) for name in PROFILES])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_package_s_own_program_answers_as_onnx_runtime(
    profile: str, subject: Subject, package: Package, tmp_path: Path
) -> None:
    emulator = PROFILES[profile]
    if emulator is not None and shutil.which(emulator) is None:
        pytest.fail(f"{emulator} is not installed: run scripts/setup test")
    file, runner = tmp_path / "model.edgetvm", tmp_path / "edgetvm-run"
    file.write_bytes(package.data)
    runner.write_bytes(package.members[f"{profile}/edgetvm-run"])
    runner.chmod(0o755)
    signature = package.manifest.signature
    inputs = dict(fill(signature, "random", seed=5))
    options: list[str] = []
    for index, (name, array) in enumerate(inputs.items()):
        np.save(tmp_path / f"{index}.npy", array)
        options += ["--input", f"{name}={tmp_path / f'{index}.npy'}"]
    command = [*([emulator] if emulator else []), str(runner), str(file), *options]
    subprocess.run([*command, "--output", str(tmp_path)], check=True, capture_output=True)
    expected = onnx_runtime(subject.path, {**inputs, "sr": np.array(16000)})
    for index, spec in enumerate(signature.outputs):
        found = np.load(tmp_path / f"output-{index}.npy")
        np.testing.assert_allclose(found, expected[spec.name], atol=1e-4)
