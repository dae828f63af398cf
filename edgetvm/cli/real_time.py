"""Options of runs in real time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_MOST = "most"
_MICROPHONE: Literal["microphone"] = "microphone"
# What only means something together with --real-time.
_ITS_OWN = {
    "streams": "--streams",
    "seconds": "--seconds",
    "rate_hz": "--frame-rate",
    "skip": "--skip",
    "audio": "--audio",
    "video": "--video",
}


class Streams(click.ParamType[int]):
    """How many streams; 0 stands for as many as the board holds."""

    name = "streams"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        if value == _MOST:
            return 0
        if not str(value).isdigit() or not 1 <= int(value) <= 65536:
            self.fail(f"{value!r} is no number from 1 to 65536, nor {_MOST}", param, ctx)
        return int(value)


_OPTIONS = (
    click.option(
        "--real-time",
        "real_time",
        is_flag=True,
        help="Feed it chunk by chunk as they would arrive, on the board's clock.",
    ),
    click.option(
        "--streams",
        type=Streams(),
        metavar=f"N|{_MOST}",
        help=f"So many at once; {_MOST}: find how many the board holds.",
    ),
    click.option(
        "--seconds",
        type=click.FloatRange(0.1, 86400),
        metavar="S",
        help="Of signal; all of it once without it, and at least 10.",
    ),
    click.option(
        "--frame-rate",
        "rate_hz",
        type=click.FloatRange(0, 1e6, min_open=True),
        metavar="HZ",
        help="Chunks or frames in a second, where no recipe tells.",
    ),
    click.option(
        "--skip",
        is_flag=True,
        help="Leave out a frame where the next one came before it could begin.",
    ),
    click.option(
        "--audio",
        metavar=f"FILE.wav|{_MICROPHONE}",
        help="A recording in place of the recipe's data; or one from the board's own microphone.",
    ),
    click.option(
        "--video",
        type=click.Path(exists=True, path_type=Path),
        metavar="FILE|FOLDER",
        help="A video's frames, or pictures in the order of their names, in place of the data.",
    ),
)


def real_time_options(command: Command) -> Command:
    """The command gets `real_time`: a function of the plan, which is None without."""

    @functools.wraps(command)
    def run(*args: Any, real_time: bool, **kwargs: Any) -> Any:
        own = {name: kwargs.pop(name) for name in _ITS_OWN}
        if not real_time:
            _refuse(own)
        return command(*args, real_time=lambda: _plan(**own) if real_time else None, **kwargs)

    found = run
    for option in reversed(_OPTIONS):
        found = option(found)
    return cast(Command, found)


def _refuse(own: dict[str, Any]) -> None:
    for name, value in own.items():
        if value not in (None, False):
            raise click.UsageError(f"{_ITS_OWN[name]} goes with --real-time: add it")


def _plan(
    streams: int | None,
    seconds: float | None,
    rate_hz: float | None,
    skip: bool,
    audio: str | None,
    video: Path | None,
) -> Any:
    from edgetvm.measure import RealTimePlan

    heard = None if audio is None else _MICROPHONE if audio == _MICROPHONE else Path(audio)
    return RealTimePlan(
        streams=1 if streams is None else streams or None,
        seconds=seconds,
        policy="skip" if skip else "queue",
        rate_hz=rate_hz,
        video=video,
        audio=heard,
    )
