"""What `edgetvm provision` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edgetvm.base.words import plural, printable
from edgetvm.cli.tables import add_row, new_table
from edgetvm.farm.together import failures

if TYPE_CHECKING:
    from edgetvm.cli.terminal import Terminal
    from edgetvm.farm import Board
    from edgetvm.farm.provision import Order, Provisioned, Step
    from edgetvm.farm.together import Outcome

_ANY_FAILED = 8
_BAR_WIDTH = 24
_MARKS = {"no change": "=", "would change": "+", "unknown": "?"}


class LiveProvisioning:
    """Listens to boards' progress, in any thread: a row for each on a terminal."""

    def __init__(self, terminal: Terminal, boards: Sequence[Board]) -> None:
        """Show on this terminal."""
        self._terminal = terminal
        self._turn = Lock()
        self._stands = {board.name: (0, 1, "ask it") for board in boards}

    def __call__(self, name: str, done: int, total: int, title: str) -> None:
        """Show that a board has done some of its steps, and what it does next."""
        with self._turn:
            self._stands[name] = (done, total, title)
            ready = sum(done == total for done, total, _ in self._stands.values())
            sentence = f"{ready} of {plural(len(self._stands), 'board')} ready; {name}: {title}"
            self._terminal.show(self._rows(), sentence)

    def _rows(self) -> RenderableType:
        table = new_table("board", "", "")
        for name, (done, total, title) in self._stands.items():
            bar = ProgressBar(total=total, completed=done, width=_BAR_WIDTH)
            table.add_row(Text(printable(name)), bar, Text(printable(title)))
        return table


def exit_code(done: Mapping[str, Outcome[Provisioned]]) -> int:
    """Of the command: 0 where none failed, the one code of those that did, or else 8."""
    codes = {error.exit_code for error in failures(done).values()}
    return codes.pop() if len(codes) == 1 else _ANY_FAILED if codes else 0


def provisioned_document(done: Mapping[str, Outcome[Provisioned]]) -> dict[str, Any]:
    """`edgetvm provision --json`: what became of each board."""
    return {name: _document(outcome) for name, outcome in done.items()}


def _document(outcome: Outcome[Provisioned]) -> dict[str, Any]:
    if outcome.error is not None:
        told = str(outcome.error)
        return {"result": "failed", "error": told, "exit_code": outcome.error.exit_code}
    if outcome.value is None:
        return {}
    return {
        "result": _result(outcome.value),
        "steps": [
            {
                "title": step.title,
                "state": step.state,
                "why": step.why,
                "commands": [str(command) for command in step.commands],
            }
            for step in outcome.value.steps
        ],
    }


def _result(provisioned: Provisioned) -> str:
    if not provisioned.changes:
        return "no change"
    return "would change" if provisioned.is_dry else "changed"


def provisioned_view(done: Mapping[str, Outcome[Provisioned]], order: Order) -> RenderableType:
    """`edgetvm provision`."""
    table = new_table("board", "", "", "", folded=("",))
    for name, outcome in done.items():
        if outcome.error is not None:
            add_row(table, name, "✗", "failed", str(outcome.error))
        elif outcome.value is not None and order.dry_run:
            _add_steps(table, name, outcome.value.steps)
        elif outcome.value is not None:
            add_row(table, name, "✓", _result(outcome.value), _told(outcome.value, order))
    return table


def _told(provisioned: Provisioned, order: Order) -> str:
    if not provisioned.changes:
        return "nothing of edgetvm is there" if order.remove else "all is as it should be"
    return f"{provisioned.changes} of {plural(len(provisioned.steps), 'step')}"


def _add_steps(table: Table, name: str, steps: Sequence[Step]) -> None:
    for step in steps:
        why = f": {step.why}" if step.why else ""
        add_row(table, name, _MARKS[step.state], step.state, f"{step.title}{why}")
