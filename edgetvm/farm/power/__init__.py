"""Power control as data: how the power of a board is switched. Each way is one small module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from edgetvm.farm.power import command, gpio, http
from edgetvm.farm.power.command import PowerCommand
from edgetvm.farm.power.gpio import PowerGpio
from edgetvm.farm.power.http import PowerHttp

_SWITCH: dict[str, Callable[[Any, bool], None]] = {
    "command": command.switch,
    "http": http.switch,
    "gpio": gpio.switch,
}
_IS_ON: dict[str, Callable[[Any], bool | None]] = {
    "command": command.is_on,
    "http": http.is_on,
    "gpio": gpio.is_on,
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Power:
    """How the power of a board is switched. One of them."""

    command: Annotated[PowerCommand | None, Field(description="By commands.")] = None
    http: Annotated[PowerHttp | None, Field(description="By a power strip with HTTP.")] = None
    gpio: Annotated[PowerGpio | None, Field(description="By a relay at a GPIO line.")] = None

    @model_validator(mode="after")
    def _one(self) -> Power:
        if len(self._given()) != 1:
            raise ValueError("one of command, http and gpio")
        return self

    def _given(self) -> list[str]:
        return [one.name for one in fields(self) if getattr(self, one.name) is not None]

    @property
    def kind(self) -> str:
        """`command`, `http` or `gpio`."""
        return self._given()[0]


def switch_power(power: Power, on: bool) -> None:
    """Switch the power on or off.

    Raises:
        BoardError: it cannot be switched.
        ConfigurationError: a secret is not where the inventory says.
    """
    _SWITCH[power.kind](getattr(power, power.kind), on)


def power_is_on(power: Power) -> bool | None:
    """Whether the power is on; None where nothing tells.

    Raises:
        BoardError: it cannot be asked.
        ConfigurationError: a secret is not where the inventory says.
    """
    return _IS_ON[power.kind](getattr(power, power.kind))
