"""One package and one measurement that the tests of commands share, and their folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_command import Home, edgetvm
from shared_builds import share_built


@pytest.fixture(scope="session")
def home(tiny_onnx: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home where the tiny model was benched and packaged."""
    root = tmp_path_factory.mktemp("used-home")
    variables = {
        "HOME": str(root),
        "XDG_CACHE_HOME": str(root / "cache"),
        "XDG_CONFIG_HOME": str(root / "config"),
        "XDG_DATA_HOME": str(root / "data"),
    }
    share_built(root / "cache", shared_cache)
    package = root / "tiny.edgetvm"
    done = edgetvm(
        "bench",
        tiny_onnx,
        "--runs",
        "20",
        "--warmup",
        "2",
        "--json",
        environment=variables,
        cold=True,
    )
    assert done.code == 0, done.err
    (measured,) = json.loads(done.out)["measurements"]
    done = edgetvm("package", tiny_onnx, "-o", package, environment=variables, cold=True)
    assert done.code == 0, done.err
    return Home(variables, package, measured["measurement"]["id"])
