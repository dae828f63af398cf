"""The power of a board of the inventory."""

from __future__ import annotations

import time

from edgetvm.base.errors import BoardError, ConfigurationError, EdgetvmError
from edgetvm.farm.inventory import Board, inventory_path
from edgetvm.farm.power import Power, power_is_on, switch_power

_WORDS = {True: "on", False: "off", None: "unknown"}
_OFF_S = 2.0
# A relay takes a moment, and a power strip another to tell of it.
_SETTLED_WITHIN_S = 5.0


def set_power(board: Board, state: str) -> str:
    """Switch the power of a board.

    Args:
        board: of the inventory.
        state: `on`, `off`, `cycle` for off and on again, or `status` to change nothing.

    Returns:
        how it stands afterwards: `on`, `off`, or `unknown` where nothing tells.

    Raises:
        ConfigurationError: the inventory does not say how.
        BoardError: it cannot be switched or asked.
    """
    if board.power is None:
        raise ConfigurationError(
            "the inventory does not say how its power is switched",
            where=f"board {board.name}",
            mend=f"add `power: …` to it in {inventory_path()}",
        )
    try:
        return _WORDS[_done(board.power, state)]
    except EdgetvmError as error:
        error.where = f"board {board.name}" + (f", {error.where}" if error.where else "")
        raise


def _done(power: Power, state: str) -> bool | None:
    if state == "status":
        return power_is_on(power)
    if state == "cycle":
        _switched(power, on=False)
        time.sleep(_OFF_S)
    return _switched(power, on=state != "off")


def _switched(power: Power, on: bool) -> bool:
    switch_power(power, on)
    until_s = time.monotonic() + _SETTLED_WITHIN_S
    while power_is_on(power) not in (on, None):
        if time.monotonic() > until_s:
            raise BoardError(
                f"its power is still {_WORDS[not on]} after it was switched {_WORDS[on]}",
                mend="check the wiring, and which outlet the inventory names",
            )
        time.sleep(0.2)
    return on
