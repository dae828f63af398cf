"""Every recipe's package on every architecture, against the recipe's reference runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgetvm.boards.profile import load_profile
from edgetvm.recipes import list_recipes
from edgetvm.workflow import find_subject, package_for

# Profiles, and what runs their programs here.
_BOARDS = {"local": [], "qemu-aarch64": ["qemu-aarch64"], "qemu-armv7": ["qemu-arm"]}


@dataclass(frozen=True)
class Agreement:
    """Whether a package's answers are the reference's on its sample, and how far off, in words."""

    recipe: str
    profile: str
    agrees: bool
    told: str


def agreements(names: list[str]) -> Iterator[Agreement]:
    """For each recipe (all without names) and profile."""
    profiles = [load_profile(name) for name in _BOARDS]
    for name in names or [recipe.name for recipe in list_recipes()]:
        package = package_for(find_subject(name), profiles)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "model.edgetvm")
            file.write_bytes(package.data)
            for target in package.manifest.targets:
                runner = Path(folder, f"run-{target.profile}")
                runner.write_bytes(package.members[str(target.runtime)])
                runner.chmod(0o755)
                command = [*_BOARDS[target.profile], str(runner)]
                yield _agreement(name, target.profile, command, file)


def _agreement(name: str, profile: str, command: list[str], file: Path) -> Agreement:
    whole = [shutil.which(command[0]) or command[0], *command[1:], str(file), "--target", profile]
    done = subprocess.run(
        [*whole, "--self-test", "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return Agreement(name, profile, False, done.stderr.strip())
    test = json.loads(done.stdout)["self_test"]
    told = f"{test['max_relative_error']:.1e} from {test['reference']}, "
    return Agreement(name, profile, True, f"{told}{test['tolerance']:g} allowed")
