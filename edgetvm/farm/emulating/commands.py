"""Programs of this machine that make boards: run to their end, their last words in the error."""

from __future__ import annotations

import subprocess

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating.needs import program

_DEADLINE_S = 30.0


def ran(*words: str, where: str = "emulated boards") -> str:
    """What a program says on stdout.

    Raises:
        BoardError: it fails, or is not done in time.
        MissingToolError: it is not there.
    """
    try:
        done = subprocess.run(
            [program(words[0]), *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BoardError(
            f"{' '.join(words)}: not done after {_DEADLINE_S:g} s", where=where
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BoardError(f"{' '.join(words)}: {last}", where=where)
    return done.stdout
