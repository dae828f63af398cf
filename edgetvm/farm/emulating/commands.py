"""Programs of this machine that make boards: run to their end, their last words in the error."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating.needs import program
from edgetvm.farm.ssh.deadlines import watched

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


def started(
    command: list[str],
    *,
    where: str,
    mend: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> tuple[subprocess.Popen[str], int]:
    """A process in new namespaces, and the number that this machine knows its first process by.

    Args:
        command: it says that number in its first line.
        where, mend: for the error.
        environment: words beside those of this process.

    Raises:
        BoardError: it fails before, with its last words; or says nothing in time.
    """
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        # Ctrl-C is its owner's to answer.
        start_new_session=True,
    )
    with watched(_DEADLINE_S, lambda: os.killpg(process.pid, signal.SIGKILL)) as watch:
        first = process.stdout.readline().strip() if process.stdout else ""
    if first.isdigit():
        return process, int(first)
    process.kill()
    last = process.communicate()[1].strip()
    if watch.fired:
        last = f"not done after {_DEADLINE_S:g} s"
    raise BoardError(f"it does not start: {last}", where=where, mend=mend)
