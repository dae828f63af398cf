"""What `edgetvm devices` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from edgetvm.base.units import format_bytes, format_duration, format_ms
from edgetvm.boards.detect import core_name
from edgetvm.cli.tables import add_row, fact_table, new_table
from edgetvm.farm.together import failures

if TYPE_CHECKING:
    from edgetvm.base.errors import EdgetvmError
    from edgetvm.farm import Board
    from edgetvm.farm.asking import Checked
    from edgetvm.farm.facts import Disk, Facts
    from edgetvm.farm.joining import Joined
    from edgetvm.farm.together import Outcome


def device_document(board: Board) -> dict[str, Any]:
    """`edgetvm devices show --json`. Secrets are references: there is nothing to hide."""
    document = asdict(replace(board, hand=None))
    del document["hand"]
    if board.login is not None and board.login.key_file is not None:
        document["login"]["key_file"] = str(board.login.key_file)
    return document


def devices_view(boards: Sequence[Board]) -> RenderableType:
    """`edgetvm devices list`."""
    table = new_table("name", "profile", "reached by", "groups", "tags")
    for board in boards:
        add_row(
            table,
            board.name,
            board.profile,
            _reached_by(board),
            ", ".join(board.groups),
            ", ".join(board.tags),
        )
    return table


def device_view(board: Board) -> RenderableType:
    """`edgetvm devices show`."""
    login, limits = board.login, board.limits
    rows: dict[str, object] = {
        "name": board.name,
        "profile": board.profile,
        "reached by": _reached_by(board),
        "private key": login.key_file if login else None,
        "tracker": board.tracker if login else None,
        "key": board.key,
        "groups": ", ".join(board.groups),
        "tags": ", ".join(board.tags),
        "power": f"by {board.power.kind}" if board.power else None,
        "memory": f"{limits.memory} a session" if limits.memory else None,
        "time": f"{limits.time} a session" if limits.time else None,
    }
    return fact_table({name: value for name, value in rows.items() if value})


def _reached_by(board: Board) -> str:
    if board.login is None:
        return f"tracker {board.tracker}" if board.tracker else "this machine"
    jump = "".join(f" over {hop}" for hop in board.login.jump)
    return f"ssh {board.login.hop}{jump}"


def joined_view(joined: Joined) -> RenderableType:
    """`edgetvm devices add`."""
    board = joined.board
    made = f", made from its own answers: {joined.profile_file}" if joined.profile_file else ""
    told = f"{board.name} is in {joined.inventory}, with profile {board.profile}{made}"
    asked = "" if joined.was_asked else f"\nit was not asked: edgetvm devices check {board.name}"
    server = (
        ""
        if board.tracker
        else f"\nto run packages it needs a server: edgetvm provision {board.name}"
    )
    return f"{told}{asked}{server}"


_MARKS = {"ok": "✓", "odd": "!", "failed": "✗"}


def checked_document(checked: Mapping[str, Outcome[Checked]]) -> list[dict[str, Any]]:
    """`edgetvm devices check --json`."""
    return [
        {"name": name, "state": "failed", "round_trip_ms": None, "findings": [_why(outcome)]}
        if outcome.value is None
        else {"name": name, **asdict(outcome.value)}
        for name, outcome in checked.items()
    ]


def _why(outcome: Outcome[Any]) -> str:
    """Without the board's name, which stands beside it."""
    error = outcome.error
    if error is None or not (error.where or "").startswith("board "):
        return str(error)
    return f"{error.what} ({error.mend})" if error.mend else error.what


def checked_failures(checked: Mapping[str, Outcome[Checked]]) -> dict[str, EdgetvmError | str]:
    """Why boards did not answer, or why packages for their profiles do not run there."""
    return failures(checked) | {
        name: "; ".join(outcome.value.findings)
        for name, outcome in checked.items()
        if outcome.value is not None and outcome.value.state == "failed"
    }


def checked_view(checked: Mapping[str, Outcome[Checked]]) -> RenderableType:
    """`edgetvm devices check`."""
    table = new_table("", "name", "round trip", "findings", right=("round trip",))
    for one in checked_document(checked):
        trip_ms = one["round_trip_ms"]
        trip = format_ms(trip_ms) if trip_ms is not None else ""
        add_row(table, _MARKS[one["state"]], one["name"], trip, "; ".join(one["findings"]))
    return table


def facts_document(found: Mapping[str, Outcome[Facts]]) -> dict[str, Any]:
    """`edgetvm devices facts --json`: boards that did not answer have an `error`."""
    return {
        name: {"error": str(outcome.error)} if outcome.value is None else _told(outcome.value)
        for name, outcome in found.items()
    }


def _told(facts: Facts) -> dict[str, Any]:
    document = asdict(facts)
    for core in document["machine"]["cores"]:
        core["flags"] = sorted(core["flags"])
    return document


def facts_view(found: Mapping[str, Outcome[Facts]]) -> RenderableType:
    """`edgetvm devices facts`."""
    parts: list[RenderableType] = []
    for name, outcome in found.items():
        facts = outcome.value
        rows = {"error": _why(outcome)} if facts is None else _facts_rows(facts)
        parts += ["", fact_table({"board": name, **rows})]
    return Group(*parts[1:])


def _facts_rows(facts: Facts) -> dict[str, object]:
    machine = facts.machine
    kinds = Counter((core_name(core) if core.part else "", core.max_mhz) for core in machine.cores)
    rows: dict[str, object] = {
        "model": facts.model or machine.cores[0].model,
        "architecture": machine.architecture,
        "cores": ", ".join(_cores(count, *kind) for kind, count in kinds.items()),
        "caches": ", ".join(
            f"L{cache.level} {format_bytes(cache.size_bytes)}{' shared' if cache.shared else ''}"
            for cache in machine.cores[0].caches
        ),
        "features": " ".join(sorted(machine.cores[0].flags)),
        "memory": f"{format_bytes(machine.memory_bytes)}, "
        f"{format_bytes(facts.available_bytes)} to have",
        "kernel": f"{facts.kernel} ({facts.kernel_architecture})",
        "system": f"{facts.system}, {facts.libc}{', systemd' if facts.systemd else ''}",
        "boot": f"{facts.boot_id}, {format_duration(facts.uptime_s)} ago",
        "account": f"{facts.user}{' (root)' if facts.root else ''}",
        "governor": ", ".join(facts.governors),
        "temperature": f"{facts.temperature_c:.1f} °C" if facts.temperature_c else "",
        "load": facts.load,
        "home": _disk(facts.home),
        "/tmp": _disk(facts.tmp),  # noqa: S108 - the board's
    }
    return {name: value for name, value in rows.items() if value}


def _cores(count: int, name: str, mhz: int) -> str:
    """`4 cortex-a72 at 1500 MHz`."""
    return " ".join([str(count), *([name] if name else []), *([f"at {mhz} MHz"] if mhz else [])])


def _disk(disk: Disk | None) -> str:
    if disk is None:
        return ""
    faults = {"read-only": disk.read_only, "noexec": disk.noexec}
    told = [word for word, is_there in faults.items() if is_there]
    return ", ".join([f"{format_bytes(disk.free_bytes)} free", *told])
