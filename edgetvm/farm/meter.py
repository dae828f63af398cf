"""A meter of the power that a board takes: a PDU's, a supply's, a sensor's on another machine."""

from __future__ import annotations

import math
import shlex
import subprocess
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError

_DEADLINE_S = 10.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Meter:
    """A command of this machine, run without a shell."""

    command: Annotated[
        str, Field(description="Prints the watts that the board takes now, as its first word.")
    ]


def read_watts(meter: Meter) -> float:
    """What the board takes now, in watts.

    Raises:
        BoardError: the command is not there, fails, takes too long, or prints no number.
    """
    try:
        done = subprocess.run(
            shlex.split(meter.command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(meter, f"is not done after {_DEADLINE_S:g} s") from error
    except (OSError, ValueError) as error:
        raise _failed(meter, f"cannot be run: {error}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason is told"]
        raise _failed(meter, f"ends with {done.returncode}: {lines[-1]}")
    said = done.stdout.decode(errors="replace")
    try:
        watts = float(said.split()[0])
    except (ValueError, IndexError):
        watts = math.nan
    if not 0 <= watts < math.inf:
        raise _failed(meter, f"prints no watts: {said.strip()[:60]!r}")
    return watts


def _failed(meter: Meter, how: str) -> BoardError:
    return BoardError(f"the meter's command {meter.command!r} {how}", mend="run it by hand")
