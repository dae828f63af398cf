"""Power switched by a relay at a GPIO line of this machine, by way of /sys/class/gpio.

A line keeps its state there when nobody holds it. libgpiod's tools give no such promise; whoever
wants them names `gpioset` as a power command.
Source: https://docs.kernel.org/admin-guide/gpio/sysfs.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError

CLASS = Path("/sys/class/gpio")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PowerGpio:
    """A GPIO line of this machine."""

    line: Annotated[int, Field(ge=0, description="The kernel's number of the line.")]
    active_low: Annotated[bool, Field(description="Whether the relay closes on 0.")] = False


def switch(power: PowerGpio, on: bool, folder: Path = CLASS) -> None:
    """Switch on or off.

    Raises:
        BoardError: this machine has no such line, or it may not be written.
    """
    line = _line(power, folder)
    # `high` and `low` make it an output and set it at once: there is no moment in between.
    _write(line / "direction", "high" if on != power.active_low else "low")


def is_on(power: PowerGpio, folder: Path = CLASS) -> bool | None:
    """Whether the line is set so that the power is on.

    Raises:
        BoardError: this machine has no such line, or it may not be read.
    """
    path = _line(power, folder) / "value"
    try:
        return (path.read_text().strip() == "1") != power.active_low
    except OSError as error:
        raise _refused(path, error) from error


def _line(power: PowerGpio, folder: Path) -> Path:
    """The folder of the line, exported if need be."""
    if not folder.is_dir():
        raise BoardError(
            "this machine has no GPIO lines in /sys",
            where=str(folder),
            mend="use `command` with gpioset in their place",
        )
    line = folder / f"gpio{power.line}"
    if not line.is_dir():
        _write(folder / "export", str(power.line))
    return line


def _write(path: Path, word: str) -> None:
    try:
        path.write_text(word)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> BoardError:
    return BoardError(
        f"the GPIO line cannot be used: {(error.strerror or str(error)).lower()}",
        where=str(path),
        mend="check its number (cat /sys/kernel/debug/gpio) and that you may write there",
    )
