"""The C runtime's loader, on a model written by hand that has all that it must know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_runtime import HANDMADE, RUNTIME, Builds, Runner
from made_packages import packed

from edgetvm.boards import BoardProfile, list_profiles
from edgetvm.boards.detect import _X86_LEVELS

SOURCES = RUNTIME / "src"
PROFILES = {"x86_64": [], "aarch64": ["asimd"], "armv7l": ["neon"]}
RELOCATIONS = {
    "x86_64": {"R_X86_64_RELATIVE", "R_X86_64_64", "R_X86_64_GLOB_DAT", "R_X86_64_JUMP_SLOT"},
    "aarch64": {
        "R_AARCH64_RELATIVE",
        "R_AARCH64_ABS64",
        "R_AARCH64_GLOB_DAT",
        "R_AARCH64_JUMP_SLOT",
    },
    "armv7l": {"R_ARM_RELATIVE", "R_ARM_ABS32", "R_ARM_GLOB_DAT", "R_ARM_JUMP_SLOT"},
}


def package(builds: Builds, architecture: str, x: list[float], folder: Path) -> Path:
    """The model by hand, with this input as its sample."""
    tensor = {"shape": [4], "dtype": "float32"}
    expected = 3 * np.floor(np.array(x, np.float32)) + np.arange(4, dtype=np.float32)
    target: dict[str, Any] = {
        "profile": "board",
        "architecture": architecture,
        "required_cpu_flags": PROFILES[architecture],
        "emulated": False,
        "executor": "native",
        "library": "board/model.so",
    }
    manifest = {
        "format_version": 1,
        "edgetvm_version": "0",
        "name": "handmade",
        "signature": {"inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}]},
        "targets": [target],
    }
    members = {
        "board/model.so": builds.model(architecture, HANDMADE / "model.c").read_bytes(),
        "sample/input-0.bin": np.array(x, "<f4").tobytes(),
        "sample/output-0.bin": expected.astype("<f4").tobytes(),
    }
    path = folder / "handmade.edgetvm"
    path.write_bytes(packed(manifest, members))
    return path


def runner(builds: Builds, architecture: str) -> Runner:
    return builds.sanitized() if architecture == "x86_64" else builds.static(architecture)


def known_flags(architecture: str) -> set[str]:
    """CPU features that the runtime can look for: it lacks all others."""
    if architecture == "x86_64":
        return set(re.findall(r'\{"(\w+)", \w+, \d+', (SOURCES / "cpu_x86.c").read_text()))
    tables = (SOURCES / "cpu_arm.c").read_text().split("#else")
    texts = re.findall(r'"([^"]*)"', tables[architecture == "armv7l"])
    return set(" ".join(texts).split())


@pytest.mark.parametrize("profile", list_profiles(), ids=lambda profile: profile.name)
def test_what_profiles_need_the_runtime_knows(profile: BoardProfile) -> None:
    assert profile.required_cpu_flags
    assert set(profile.required_cpu_flags) <= known_flags(profile.architecture)


def test_what_machines_have_the_runtime_knows() -> None:
    for level in _X86_LEVELS:
        assert set(level.flags) <= known_flags("x86_64")


@pytest.mark.parametrize("architecture", RELOCATIONS)
def test_every_kind_of_relocation_is_done(
    architecture: str, builds: Builds, tmp_path: Path
) -> None:
    path = package(builds, architecture, [1.5, -2.5, 0, 7.25], tmp_path)
    library = builds.model(architecture, HANDMADE / "model.c")
    listed = subprocess.run(
        ["readelf", "-rW", library], capture_output=True, text=True, check=True
    ).stdout
    assert {word for word in listed.split() if word.startswith("R_")} == RELOCATIONS[architecture]
    run = runner(builds, architecture)
    for threads in (1, 2, 5):
        run(path, "--self-test", "--threads", threads)


@pytest.mark.parametrize("architecture", RELOCATIONS)
@pytest.mark.parametrize(
    ("x", "told"),
    [
        (-1, "a kernel failed with code -7: ValueError: x[0] is below?zero"),
        (-2, "a kernel failed with code -22"),
        (-3, "a kernel failed with code -7"),
    ],
)
def test_a_kernel_that_fails_is_told(
    x: float, told: str, architecture: str, builds: Builds, tmp_path: Path
) -> None:
    path = package(builds, architecture, [x, 0, 0, 0], tmp_path)
    done = runner(builds, architecture)(path, "--threads", 3, code=19)
    assert done.stderr == f"edgetvm-run: {told}\n"


def test_one_target_of_several_is_taken(builds: Builds, stream: Any) -> None:
    """The first that fits, or the one that is named."""
    for architecture, target in (("aarch64", "qemu-aarch64"), ("armv7l", "qemu-armv7")):
        run = builds.static(architecture)
        assert f"for {target} (" in run(stream.path, "--info").stdout
        assert f"for {target} (" in run(stream.path, "--info", "--target", target).stdout
        assert "its first is local" in run(stream.path, "--target", "local", code=15).stderr
