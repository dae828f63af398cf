"""The scripts and the files around the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON_SCRIPTS = [ROOT / "scripts" / "docs"]
ON_BOARD = sorted((ROOT / "edgetvm" / "farm" / "on_board").iterdir())
SCRIPTS = [*sorted({*(ROOT / "scripts").iterdir()} - {*PYTHON_SCRIPTS}), ROOT / ".ci" / "run"]

# In halves, so that this file does not name one either.
REGISTRY_HOSTS = re.compile(
    "|".join(
        re.escape(name + "." + rest)
        for name, rest in [
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("download.pytorch", "org"),
            ("registry.npmjs", "org"),
            ("deb.debian", "org"),
            ("security.debian", "org"),
            ("archive.ubuntu", "com"),
            ("conda.anaconda", "org"),
            ("proxy.golang", "org"),
        ]
    )
    + "|--(extra-)?index-"
    + "url",
    re.IGNORECASE,
)


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def files_of_the_repository() -> list[Path]:
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_shellcheck_finds_nothing() -> None:
    beside_python = Path(sys.executable).parent / "shellcheck"
    shellcheck = beside_python if beside_python.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (run: scripts/setup test)")
    checked = run(shellcheck, *SCRIPTS, *ON_BOARD)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_and_stop_at_errors(script: Path) -> None:
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text


@pytest.mark.parametrize("script", ON_BOARD, ids=lambda path: path.name)
def test_what_runs_on_boards_needs_no_more_than_a_posix_shell(script: Path) -> None:
    assert script.read_text().startswith("#!/bin/sh\n")
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            assert run(*shell, "-n", script).returncode == 0


@pytest.mark.parametrize("script", PYTHON_SCRIPTS, ids=lambda path: path.name)
def test_python_scripts_are_executable(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env python3\n")


def test_setup_refuses_an_unknown_group_before_it_does_anything() -> None:
    refused = run(ROOT / "scripts" / "setup", "test", "nonsense")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "scripts/setup: there is no group 'nonsense' (known groups: test bench torch all)\n"
    )


def test_setup_help_names_every_group() -> None:
    helped = run(ROOT / "scripts" / "setup", "--help")
    assert helped.returncode == 0
    for group in ("test", "bench", "torch", "all"):
        assert f"scripts/setup {group}" in helped.stdout


def test_setup_refuses_python_3_10(tmp_path: Path) -> None:
    """A tree and a PATH of its own, on which every Python is too old."""
    tree, programs = tmp_path / "tree", tmp_path / "bin"
    (tree / "scripts").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tree / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tree)
    for name in ("python3", "python3.11", "python3.12", "python3.13", "espeak-ng"):
        program = programs / name
        program.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.12 && exit\nexit 1\n'
        )
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    refused = subprocess.run(
        [tree / "scripts" / "setup"], env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "needs Python 3.11 or newer, and python3 here is Python 3.10.12" in refused.stderr
    assert not (tree / ".venv" / "bin").exists()


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    for pin in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin), pin
    assert pins == sorted(pins, key=lambda pin: pin.split("==")[0])
    assert not [pin for pin in pins if re.match(r"edgetvm=|nvidia-|cuda-|triton=", pin)]


def test_no_file_names_a_package_registry() -> None:
    """Whoever installs edgetvm has their own."""
    named = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in files_of_the_repository()
        if (found := REGISTRY_HOSTS.search(path.read_bytes().decode(errors="ignore")))
    ]
    assert named == []
