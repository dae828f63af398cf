"""Power switched by a command of this machine: uhubctl, gpioset, a vendor's own."""

from __future__ import annotations

import shlex
import subprocess
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError

_DEADLINE_S = 30.0
_OFF = 1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PowerCommand:
    """Commands of this machine, run without a shell."""

    on: Annotated[str, Field(description="Switches on: `uhubctl -l 1-1 -p 2 -a on`.")]
    off: Annotated[str, Field(description="Switches off.")]
    status: Annotated[
        str | None, Field(description="Ends with 0 when the power is on, and with 1 when off.")
    ] = None


def switch(power: PowerCommand, on: bool) -> None:
    """Switch on or off.

    Raises:
        BoardError: the command is not there, fails, or takes too long.
    """
    command = power.on if on else power.off
    code, words = _ended(command)
    if code:
        raise _failed(command, f"ends with {code}{words}")


def is_on(power: PowerCommand) -> bool | None:
    """Whether the power is on; None where no command tells.

    Raises:
        BoardError: the command is not there, fails, or takes too long.
    """
    if power.status is None:
        return None
    code, words = _ended(power.status)
    if code not in (0, _OFF):
        raise _failed(power.status, f"ends with {code}{words}")
    return code == 0


def _ended(command: str) -> tuple[int, str]:
    """Exit code, and the last line of what it said on stderr."""
    try:
        done = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(command, f"is not done after {_DEADLINE_S:g} s") from error
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise _failed(command, f"cannot be run: {reason}") from error
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return done.returncode, f": {lines[-1]}" if lines else ""


def _failed(command: str, how: str) -> BoardError:
    return BoardError(f"the power command {command!r} {how}", mend="run it by hand")
