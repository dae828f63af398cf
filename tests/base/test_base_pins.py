"""The pins, and what they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgetvm.base.pins import PINNED, check_pins, installed_version

CHECK = """
from edgetvm.base.errors import MissingToolError
from edgetvm.base.pins import check_pins
try:
    check_pins()
except MissingToolError as error:
    print(error.exit_code, error)
"""


def checked_with(site: Path) -> str:
    """What `check_pins` says where `site` comes first on the path."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_installed_pair_is_accepted() -> None:
    check_pins()
    assert {name: installed_version(name) for name in PINNED} == PINNED
    assert installed_version("no-such-package") is None


@pytest.mark.parametrize("name", PINNED)
def test_another_version_is_refused_with_the_command(tmp_path: Path, name: str) -> None:
    info = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    pins = " ".join(f"{package}=={version}" for package, version in PINNED.items())
    assert checked_with(tmp_path) == (
        f"9 {name} is 9.9, and edgetvm needs exactly {PINNED[name]} (run: pip install {pins})"
    )


def test_the_pins_stand_in_pyproject() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for name, version in PINNED.items():
        assert f'"{name}=={version}"' in text


def test_the_pinned_pair_can_tune() -> None:
    """With ffi 0.1.15 this dies of a segmentation fault: the reason for the pins."""
    code = """
import sys, types
# TVM would spend half a minute on describing the instructions of processors that we do not use.
for name in ("cuda", "rocm", "hexagon"):
    sys.modules[f"tvm.s_tir.tensor_intrin.{name}"] = types.ModuleType(name)
from tvm import te
from tvm.s_tir.meta_schedule import TuneContext
from tvm.target import Target
a = te.placeholder((4,), name="a")
context = TuneContext(
    te.create_prim_func([a, te.compute((4,), lambda i: a[i] + 1, name="b")]),
    target=Target({"kind": "llvm", "num-cores": 1}),
    space_generator="post-order-apply",
    search_strategy="replay-trace",
)
print(len(context.generate_design_space()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
