"""All words to the user: results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.files import storage_errors
from edgetvm.base.steps import StepEvent, listening
from edgetvm.base.units import format_duration
from edgetvm.base.words import printable
from edgetvm.cli.streams import give_up_stdout

_SIGN_EVERY_S = 10.0
# What is shown in passing comes more often: there is more to see in it.
_SHOWN_EVERY_S = 5.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would end the process with code 1: leave it to the root command."""
        raise BrokenPipeError


def _finite(value: Any) -> Any:
    """A document with the text `inf` or `nan` for each number that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value


def _json_of(document: Any) -> list[str]:
    return [json.dumps(_finite(document), indent=1, allow_nan=False), "\n"]


class Terminal:
    """One for each command.

    Steps are a live display on a terminal, and plain lines elsewhere. With `as_json`, stdout
    carries one JSON document and nothing else.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        # A duplicate of descriptor 2: the library keeps native words off the original meanwhile.
        # Marks that the user's encoding lacks become question marks.
        log = os.fdopen(os.dup(2), "w", buffering=1, errors="replace")
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self._log = _Console(file=log, highlight=False, markup=False, soft_wrap=True)
        # Where stdout is a file or pipe there is no width to keep to.
        width = None if sys.stdout.isatty() else 120
        self._out = _Console(file=sys.stdout, highlight=False, markup=False, width=width)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._log,
        )
        self._shown: RenderableType = ""
        self._last_shown_s = 0.0
        self._tasks: list[TaskID] = []
        self._last_sign_s: dict[str, float] = {}
        # Titles of steps that have begun and not ended, and when; and when a line was written.
        self._under_way: list[tuple[str, float]] = []
        self._last_line_s = 0.0
        # A package that is needed twice tells twice what speaks against it.
        self._told: set[tuple[str, str]] = set()

    def result(self, document: Any, shown: RenderableType) -> None:
        """The command's result: `document` as JSON, or `shown` for people.

        A document may be an iterator of pieces of JSON: nobody need hold the whole of it.

        Raises:
            StorageError: stdout leads to a file that cannot be written.
        """
        try:
            self._write(document, shown)
            sys.stdout.flush()
        except EdgetvmError:
            raise
        except BrokenPipeError:
            # Click would end the process with code 1 for one that has an error number.
            raise BrokenPipeError from None
        except OSError:
            give_up_stdout()
            with storage_errors(Path("stdout")):
                raise

    def _write(self, document: Any, shown: RenderableType) -> None:
        if self.as_json:
            sys.stdout.writelines(
                document if isinstance(document, Iterator) else _json_of(document)
            )
        else:
            self._out.print(shown, crop=False)

    def say(self, sentence: str) -> None:
        """A sentence beside the result."""
        self._log.print(printable(sentence))

    def failures(self, found: Mapping[str, EdgetvmError | str]) -> None:
        """A line for each of several that failed, beside the result: stdout may lead elsewhere.

        Args:
            found: by name of the board or model; why.
        """
        for name, why in found.items():
            is_named = isinstance(why, EdgetvmError) and name in (why.where or why.what)
            self.say(f"error: {why}" if is_named else f"error: {name}: {why}")

    @contextmanager
    def steps(self) -> Iterator[None]:
        """Show the steps that happen inside the block."""
        if not self._log.is_terminal:
            with listening(self._plain), self._signs_of_life():
                yield
            return
        with (
            Live(
                get_renderable=self._in_sight,
                console=self._log,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                refresh_per_second=8,
            ),
            listening(self._live),
        ):
            yield
        self._shown = ""

    def _in_sight(self) -> RenderableType:
        return Group(self._shown, self._progress) if self._shown else self._progress

    def show(self, shown: RenderableType, sentence: str) -> None:
        """How things stand, told again and again.

        Args:
            shown: on a terminal; it stays in sight below the steps.
            sentence: elsewhere; told every few seconds.
        """
        if self._log.is_terminal:
            self._shown = shown
        elif time.monotonic() - self._last_shown_s > _SHOWN_EVERY_S:
            self._last_shown_s = self._last_line_s = time.monotonic()
            self._log.print(f"… {printable(sentence)}")

    def _plain(self, event: StepEvent) -> None:
        if event.state in ("note", "warning"):
            self._sentence(event)
        elif event.state == "started":
            self._under_way.append((event.title, time.monotonic()))
        elif event.state == "advanced":
            self._sign_of_life(event)
        else:
            self._under_way.pop()
            self._log.print(self._line(event))
            self._last_line_s = time.monotonic()

    @contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        """Where nothing was told for long, say every now and then what is under way."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(_SIGN_EVERY_S / 10):
                now_s = time.monotonic()
                if now_s - self._last_line_s < _SIGN_EVERY_S:
                    continue
                for title, began_s in self._under_way[-1:]:
                    self._log.print(f"… {printable(title)}  {format_duration(now_s - began_s)}")
                    self._last_line_s = now_s

        self._last_line_s = time.monotonic()
        looking = threading.Thread(target=look, name="signs of life", daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()

    def _live(self, event: StepEvent) -> None:
        if event.state in ("note", "warning"):
            self._sentence(event)
        elif event.state == "started":
            self._tasks.append(self._progress.add_task(event.title, total=None, detail=""))
        elif event.state == "advanced":
            self._progress.update(
                self._tasks[-1],
                completed=event.done,
                total=event.total or None,
                detail=event.detail,
            )
        else:
            self._progress.remove_task(self._tasks.pop())
            colour = "green" if event.state == "finished" else "red"
            self._log.print(self._line(event), style=colour)

    def _sign_of_life(self, event: StepEvent) -> None:
        """A line now and then about work that takes long."""
        if event.elapsed_s - self._last_sign_s.get(event.title, 0.0) > _SIGN_EVERY_S:
            self._last_sign_s[event.title] = event.elapsed_s
            self._last_line_s = time.monotonic()
            share = f"  {event.done} of {event.total}" if event.total else ""
            self._log.print(f"… {printable(event.title)}{share}  {printable(event.detail)}")

    def _sentence(self, event: StepEvent) -> None:
        told = (event.state, event.detail)
        if told in self._told:
            return
        self._told.add(told)
        word = "warning: " if event.state == "warning" else ""
        style = "yellow" if word else "dim"
        self._log.print(f"{word}{printable(event.detail)}", style=style)

    def _line(self, event: StepEvent) -> str:
        mark = "✓" if event.state == "finished" else "✗"
        detail = f"  {printable(event.detail)}" if event.detail else ""
        indent = "  " * event.depth
        return (
            f"{indent}{mark} {printable(event.title)}  {format_duration(event.elapsed_s)}{detail}"
        )
