"""What `edgetvm farm` and `edgetvm lease` print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from edgetvm.base.units import format_duration
from edgetvm.base.words import plural
from edgetvm.cli.tables import add_row, new_table

if TYPE_CHECKING:
    from edgetvm.farm.leases import Overview

_NO_DAEMON = "the farm is down, and this is what it knew last (start it: edgetvm farm up)"


def farm_view(farm: Overview) -> RenderableType:
    """`edgetvm farm status` and `edgetvm lease list`."""
    from edgetvm.farm.leases.document import farm_document

    told = farm_document(farm)
    table = new_table(
        "board", "profile", "health", "proven", "temperature", "in the hands of", "for", "purpose",
        right=("temperature",), folded=("health", "purpose"),
    )  # fmt: skip
    for one in told["boards"]:
        add_row(table, *_board_row(one))
    daemons = list(map(_daemon_line, told["daemons"])) or [_NO_DAEMON]
    parts: list[RenderableType] = [table, *daemons]
    if told["waiting"]:
        parts += ["", _queue(told["waiting"])]
    return Group(*parts)


def _board_row(one: Mapping[str, Any]) -> list[str]:
    lease = one["lease"]
    temperature_c = one["temperature_c"]
    return [
        one["board"],
        one["profile"],
        one["health"] + (f": {one['detail']}" if one["detail"] else ""),
        "never" if one["proven_age_s"] is None else f"{format_duration(one['proven_age_s'])} ago",
        "" if temperature_c is None else f"{temperature_c:.0f} °C",
        lease["owner"] if lease else "",
        format_duration(lease["age_s"]) if lease else "",
        lease["purpose"] if lease else "",
    ]


def _daemon_line(daemon: Mapping[str, Any]) -> str:
    state = "is up" if daemon["is_up"] else f"silent for {format_duration(daemon['silent_s'])}"
    return f"daemon {daemon['name']}: {state}, tracker {daemon['tracker']}"


def _queue(waiting: list[Mapping[str, Any]]) -> RenderableType:
    table = new_table("waits for", "who", "for", "priority", "purpose", right=("priority",))
    for one in waiting:
        boards = one["boards"]
        named = ", ".join(boards) if len(boards) < 4 else plural(len(boards), "board")
        waited = format_duration(one["waited_s"])
        add_row(table, named, one["owner"], waited, str(one["priority"]), one["purpose"])
    return table
