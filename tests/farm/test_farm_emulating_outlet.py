"""The outlet of an emulated board, which needs neither root nor a board."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from real_board import within

from edgetvm.base.errors import BoardError
from edgetvm.farm.emulating.outlet import Outlet


def test_a_board_that_does_not_come_on_leaves_its_outlet_usable(tmp_path: Path) -> None:
    done: list[str] = []

    def on() -> None:
        done.append("on")
        raise BoardError("it does not start")

    outlet = Outlet(tmp_path, {"on": on, "off": lambda: done.append("off")})
    for command in (outlet.commands.on, outlet.commands.off, outlet.commands.on):
        subprocess.run(shlex.split(command), timeout=5, check=True)
    assert within(5, lambda: done == ["on", "off", "on"])
    outlet.close()
    assert within(5, lambda: outlet._words.closed)
