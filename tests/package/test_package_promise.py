"""Packages that released versions wrote: every later one reads and runs them.

`data/VERSION-MODEL.edgetvm`: for x86-64 (AVX2), aarch64 and armv7, signed. None is ever replaced.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgetvm.package import Executor, read_package
from edgetvm.package.crossbuild import RUNNER_FILE, build_runtime

KEPT = sorted(Path(__file__).with_name("data").glob("*.edgetvm"))
# The public half of the key of RFC 8032, 7.1, test 1.
SIGNER = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
EMULATORS = {"x86_64": None, "aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}


def test_there_is_one_of_each_release() -> None:
    assert {path.name.partition("-")[0] for path in KEPT} >= {"0.1.0"}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_it_is_read_and_runs_here(path: Path) -> None:
    package = read_package(path)
    assert package.signed_by == SIGNER
    assert f"{package.manifest.edgetvm_version}-{package.manifest.name}" == path.stem
    found = Executor.of(package).run(package.sample_inputs)
    for name, expected in package.sample_outputs.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("session_cache")
@pytest.mark.parametrize("architecture", EMULATORS)
@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_the_c_runtime_runs_it_on_every_architecture(path: Path, architecture: str) -> None:
    runner = build_runtime(architecture, "musl").folder / RUNNER_FILE
    emulator = EMULATORS[architecture]
    if emulator is not None and shutil.which(emulator) is None:
        pytest.fail(f"{emulator} is not installed: run scripts/setup test")
    command = [*([emulator] if emulator else []), str(runner), str(path), "--self-test", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["architecture"] == architecture
    assert told["self_test"]["max_relative_error"] <= told["self_test"]["tolerance"]
