"""The `edgetvm` command, run as users run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked_command

ESCAPE = "\x1b"
COMMAND = [sys.executable, "-m", "edgetvm"]


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document, by the standard: no NaN, no Infinity."""
        return json.loads(self.out, parse_constant=_refuse)

    def is_clean(self) -> bool:
        """No escape code and no traceback on either stream."""
        said = self.out + self.err
        return ESCAPE not in said and "Traceback" not in said


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def edgetvm(
    *arguments: str | Path,
    folder: Path | None = None,
    timeout_s: float = 180,
    environment: Mapping[str, str] | None = None,
    cold: bool = False,
) -> Done:
    """Run `edgetvm ARGUMENTS` to its end, in `folder`.

    Args:
        cold: start Python for it, as users do, where `forked_command` would not prove the same.
    """
    variables, words = {**os.environ, **(environment or {})}, list(map(str, arguments))
    if not cold and not any(name.startswith("PYTHON") for name in environment or ()):
        return Done(*forked_command.run(words, folder, variables, timeout_s))
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=variables,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Home:
    """Folders in which a model was benched and packaged already."""

    variables: Mapping[str, str]
    package: Path
    measurement: str

    def edgetvm(self, *arguments: str | Path, **options: Any) -> Done:
        """Run a command in it."""
        return edgetvm(*arguments, environment=self.variables, **options)


def refused(done: Done, code: int, *words: str) -> bool:
    """Whether a command ended with that code and one sentence that holds all these words."""
    lines = [line for line in done.err.splitlines() if line]
    assert done.is_clean(), done.err
    assert done.code == code, done
    assert done.out == "", done.out
    assert lines, done
    sentence = lines[-1].lower()
    assert sentence.startswith("error: "), done.err
    missing = [word for word in words if word.lower() not in done.err.lower()]
    assert not missing, (missing, done.err)
    return True
