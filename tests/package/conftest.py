"""The runtime's builds, and packages for it to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from built_runtime import Builds
from made_models import write_shared, write_wide
from made_packages import Members, contents, packed
from real_board import stateful_package, tiny_package  # noqa: F401 - fixtures are found by name

from edgetvm.boards import load_profile
from edgetvm.compile import Artifact, compile_model
from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.models.model import Arrays
from edgetvm.package import check
from edgetvm.package.gate import Checked

ALL = ("local", "qemu-aarch64", "qemu-armv7")


@dataclass(frozen=True)
class Made:
    """A package, and what it was made of.

    Attributes:
        manifest, members: as `made_packages.contents` gives them.
    """

    path: Path
    model: Model
    artifacts: tuple[Artifact, ...]
    checked: Checked
    manifest: dict[str, Any]
    members: Members


def _make(
    folder: Path, model: Model, profiles: Sequence[str], inputs: Arrays | None = None
) -> Made:
    artifacts = tuple(compile_model(model, load_profile(one)) for one in profiles)
    checked = check(artifacts[0], model, inputs)
    manifest, members = contents(artifacts, checked, labels="one\ntwo\n")
    path = folder / f"{model.name}.edgetvm"
    path.write_bytes(packed(manifest, members))
    return Made(path, model, artifacts, checked, manifest, members)


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Builds:
    """One folder for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "runtime"
    folder.mkdir(exist_ok=True)
    return Builds(folder)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the packages."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="session")
def tiny(packages: Path, tiny_onnx: Path) -> Made:
    """The smallest convolution, for this machine."""
    return _make(packages, import_model(tiny_onnx), ("local",))


@pytest.fixture(scope="session")
def stream(packages: Path, stateful_onnx: Path) -> Made:
    """A model that carries `sum`, for all."""
    options = ImportOptions(states={"sum": "total"})
    return _make(packages, import_model(stateful_onnx, options), ALL)


@pytest.fixture(scope="session")
def shared(packages: Path, models: Path) -> Made:
    """A kernel that threads share, for all."""
    return _make(packages, import_model(write_shared(models / "shared.onnx")), ALL)


@pytest.fixture(scope="session")
def wide(packages: Path, models: Path) -> Made:
    """64-bit arithmetic, for all."""
    inputs = {"a": np.arange(-4, 4) << 40, "b": np.arange(1, 9)}  # none of them divides by zero
    return _make(packages, import_model(write_wide(models / "wide.onnx")), ALL, inputs)


@pytest.fixture(scope="session")
def wake_word(packages: Path, okay_nabu_tflite: Path) -> Made:
    """A real model, for all."""
    return _make(packages, import_model(okay_nabu_tflite), ALL)
