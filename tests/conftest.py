"""Folders of their own for every test, and the small models that many tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_models import (
    write_dynamic,
    write_integers,
    write_odd_names,
    write_stateful,
    write_tiny,
    write_unsupported,
)
from made_tflite import write_dense
from shared_builds import share_built

from edgetvm.recipes import ModelFile, fetch

# Zig builds a C library for each target, for a minute: that stays where the user has it.
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(Path.home() / ".cache" / "zig"))

OKAY_NABU = ModelFile(
    package="pyopen-wakeword==1.1.0",
    file="pyopen_wakeword/models/okay_nabu.tflite",
    sha256="2982cecde4ee81cc7a2573d2602a7d54f0669425c94a7b64af77e0ff92b03a18",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need boards come first: they take longest, and none shall run alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("board")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def isolated_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A home of its own for each test: nothing of the user's is read or written."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for variable, folder in (
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".local/share"),
    ):
        monkeypatch.setenv(variable, str(home / folder))
    for variable in ("EDGETVM_DEVICES", "EDGETVM_RECIPES", "EDGETVM_MODELS", "EDGETVM_NATIVE_LOG"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.fixture(autouse=True)
def built_once(isolated_home: Path, shared_cache: Path) -> None:
    """Have what Zig builds in a test's own cache from the shared one: it takes seconds each."""
    share_built(isolated_home / ".cache", shared_cache)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one cache of this run of the tests, for all its processes."""
    own = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder of its own in that of the run.
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def session_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the cache that all tests of this run share: what is fetched or built stays."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small models."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def tiny_onnx(models: Path) -> Path:
    """See `made_models.write_tiny`."""
    return write_tiny(models / "tiny.onnx")


@pytest.fixture(scope="session")
def stateful_onnx(models: Path) -> Path:
    """See `made_models.write_stateful`."""
    return write_stateful(models / "stateful.onnx")


@pytest.fixture(scope="session")
def dynamic_onnx(models: Path) -> Path:
    """See `made_models.write_dynamic`."""
    return write_dynamic(models / "dynamic.onnx")


@pytest.fixture(scope="session")
def unsupported_onnx(models: Path) -> Path:
    """See `made_models.write_unsupported`."""
    return write_unsupported(models / "unsupported.onnx")


@pytest.fixture(scope="session")
def odd_names_onnx(models: Path) -> Path:
    """See `made_models.write_odd_names`."""
    return write_odd_names(models / "odd_names.onnx")


@pytest.fixture(scope="session")
def integers_onnx(models: Path) -> Path:
    """See `made_models.write_integers`."""
    return write_integers(models / "integers.onnx")


@pytest.fixture(scope="session")
def okay_nabu_tflite(shared_cache: Path) -> Iterator[Path]:
    """A real wake-word model (float32, `[1, 16, 96]` in), from its Python package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        yield fetch(OKAY_NABU)


@pytest.fixture(scope="session")
def dense_tflite(models: Path) -> Path:
    """See `made_tflite.write_dense`."""
    return write_dense(models / "dense.tflite")
