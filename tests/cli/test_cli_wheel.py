"""The wheel: built, installed elsewhere, and complete without this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("edgetvm-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `edgetvm` command of an environment with the wheel, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", "--quiet"]
    command += ["--disable-pip-version-check", "--prefix", folder, "--ignore-installed", wheel]
    subprocess.run(command, check=True)
    # Appended to sys.path: its own .pth files, one of which may lead to this folder, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    script = folder / "bin" / "edgetvm"
    lines = script.read_text().splitlines(keepends=True)
    script.write_text("".join([f"#!{folder}/bin/python\n", *lines[1:]]))
    return script


def said(command: Path, *arguments: str, folder: Path) -> str:
    """What a command of the other environment says."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [command, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_what_the_folder_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for kind in ("devices", "recipes", "experiments"):
        files = {path.relative_to(ROOT) for path in (ROOT / kind).rglob("*.yaml")}
        assert files
        assert {f"edgetvm/_data/{path}" for path in files} <= names
    sources = (ROOT / "edgetvm/package/runtime").rglob("*.[ch]*")
    assert {str(path.relative_to(ROOT)) for path in sources} | {"edgetvm/_data/LICENSE"} <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "edgetvm").rglob("*.py")}
    assert modules <= names
    assert not any(name.startswith(("tests", "scripts", "docs")) for name in names)


def test_it_runs_from_the_wheel_and_nowhere_else(installed: Path, tmp_path: Path) -> None:
    python = installed.parent / "python"
    where = said(python, "-c", "import edgetvm; print(edgetvm.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(installed.parent.parent)


def test_profiles_and_recipes_are_found_inside(installed: Path, tmp_path: Path) -> None:
    boards = json.loads(said(installed, "profiles", "list", "--json", folder=tmp_path))
    assert {board["name"] for board in boards} == {
        path.stem for path in (ROOT / "devices").glob("*.yaml")
    }
    recipes = json.loads(said(installed, "recipes", "list", "--json", folder=tmp_path))
    assert {recipe["name"] for recipe in recipes} == {
        str(path.relative_to(ROOT / "recipes").with_suffix(""))
        for path in (ROOT / "recipes").rglob("*.yaml")
    }
    assert "Jetson" in said(installed, "profiles", "list", folder=tmp_path)
    assert "silero" in said(installed, "recipes", "list", folder=tmp_path)


@pytest.mark.board
def test_it_benches_from_the_wheel(installed: Path, tmp_path: Path, tiny_onnx: Path) -> None:
    found = json.loads(
        said(installed, "bench", str(tiny_onnx), "--runs", "5", "--json", folder=tmp_path)
    )
    assert "tiny" in json.dumps(found)
