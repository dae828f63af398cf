"""Options that several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from edgetvm.boards.profile import BoardProfile
    from edgetvm.compile.options import CompileOptions, OptLevel
    from edgetvm.compile.tuned import TunedSchedules

    Schedules = Callable[[BoardProfile, CompileOptions], TunedSchedules]

Command = TypeVar("Command", bound=Callable[..., Any])

_DASK = "dask://"
_MOST_BUILDERS = 256

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
device_option = click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME|PROFILE",
    help="Boards of the inventory: a name, several with commas, a profile for all its boards, or a "
    "selection; local is this machine.",
)
profile_option = click.option(
    "--device",
    "profile",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board, or board profile, to compile for (see: edgetvm profiles list).",
)
wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for a board of a farm that somebody else has.",
)
all_option = click.option(
    "--all", "all_rows", is_flag=True, help="Show all kernels, not only the first 40."
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="Threads to run on; all cores without it.",
)


def tuned_options(command: Command) -> Command:
    """`--tuned` and `--database`; the command gets `schedules`, of profile and options."""

    @functools.wraps(command)
    def run(*args: Any, tuned: bool, database: Path | None, **kwargs: Any) -> Any:
        def schedules(profile: BoardProfile, options: CompileOptions) -> TunedSchedules:
            from edgetvm.compile.tuned import UNTUNED
            from edgetvm.workflow import tuned_schedules

            if not tuned and database is None:
                return UNTUNED
            return tuned_schedules(profile, options, database)

        return command(*args, schedules=schedules, **kwargs)

    named = click.option(
        "--database",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="As --tuned, from this tuning database.",
    )(run)
    return cast(
        Command,
        click.option(
            "--tuned", is_flag=True, help="Take the schedules that edgetvm tune has found."
        )(named),
    )


mismatch_option = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Go on although the answers differ from the reference runtime's.",
)


def store_option(words: str) -> Callable[[Command], Command]:
    """`--store`, which says in `words` what the store is for."""
    return click.option("--store", "url", metavar="URL", envvar="EDGETVM_RESULTS", help=words)


class NewFile(click.Path):
    """A file to write: its folder is looked for before the work and not after it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.absolute().parent.is_dir():
            self.fail(f"{str(path)!r}: its folder does not exist: make it first", param, ctx)
        return path


class Percent(click.ParamType[float]):
    """A share in percent, with or without its sign."""

    name = "PERCENT"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        try:
            percent = float(str(value).strip().removesuffix("%"))
        except ValueError:
            percent = -1.0
        if not 0 <= percent <= 100:
            self.fail(f"{value!r} is no share: write 1% or 0.5%", param, ctx)
        return percent


class Duration(click.ParamType[float]):
    """A time such as `90s`, `30m` or `2h`, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        from edgetvm.base.units import parse_duration_s

        try:
            return parse_duration_s(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write 90s, 30m or 2h", param, ctx)


class Builders(click.ParamType["int | str"]):
    """A number of processes, or the HOST:PORT of a Dask scheduler."""

    name = "N|dask://HOST:PORT"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        from edgetvm.base.errors import UsageError
        from edgetvm.farm import Address

        text = str(value).strip()
        if text.isascii() and text.isdigit() and 0 < int(text) <= _MOST_BUILDERS:
            return int(text)
        try:
            if not text.startswith(_DASK):
                raise UsageError("it names no cluster")
            return str(Address.parse(text.removeprefix(_DASK)))
        except UsageError:
            self.fail(
                f"{value!r} builds nothing: write a number up to {_MOST_BUILDERS}, or "
                f"{_DASK}HOST:PORT",
                param,
                ctx,
            )


class _Level(click.ParamType["OptLevel"]):
    name = "LEVEL"

    def convert(self, value: Any, param: Any, ctx: Any) -> OptLevel:
        from edgetvm.compile.options import OPT_LEVELS

        found = next((one for one in OPT_LEVELS if str(one) == str(value)), None)
        if found is None:
            self.fail(f"{value!r} is no level: write 0 to 4, or s for small code", param, ctx)
        return found


class _Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    name = "NAME=1,3,224,224"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, tuple[int, ...]]:
        name, separator, sizes = str(value).rpartition("=")
        try:
            if not separator or not name:
                raise ValueError
            return name, tuple(int(size) for size in sizes.split(",") if size.strip())
        except ValueError:
            self.fail(f"{value!r} is no shape: write NAME=1,3,224,224", param, ctx)


Bound = int | float | list[int] | list[float]


class _Binding(click.ParamType[tuple[str, Bound]]):
    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Bound]:
        name, separator, text = str(value).rpartition("=")
        try:
            if not separator or not name:
                raise ValueError
            numbers = [_number(part) for part in text.split(",")]
            whole = [number for number in numbers if isinstance(number, int)]
            several = whole if len(whole) == len(numbers) else [float(one) for one in numbers]
            return name, several if len(numbers) > 1 else numbers[0]
        except ValueError:
            self.fail(f"{value!r} binds nothing: write NAME=16000 or NAME=1,2,3", param, ctx)


def _number(text: str) -> int | float:
    return int(text) if text.strip().lstrip("+-").isdigit() else float(text)


def compile_options(command: Command) -> Command:
    """`-O`, `--layout`, `--precision`; the command gets them as one `CompileOptions`, `options`."""

    @functools.wraps(command)
    def with_options(
        *arguments: Any, opt_level: OptLevel, layout: Any, precision: Any, **others: Any
    ) -> Any:
        from edgetvm.compile.options import CompileOptions

        options = CompileOptions(opt_level, layout, precision)
        return command(*arguments, options=options, **others)

    level = click.option(
        "-O",
        "opt_level",
        type=_Level(),
        default=3,
        show_default=True,
        metavar="LEVEL",
        help="How much is optimised, from 0 to 4, or s for small code: see edgetvm passes.",
    )
    order = click.option(
        "--layout",
        type=click.Choice(["auto", "NHWC", "NCHW", "NCHWc"], case_sensitive=False),
        metavar="[auto|NHWC|NCHW|NCHWc]",
        default="auto",
        show_default=True,
        help="How images lie in memory; auto chooses for each convolution. Those on 8-bit integers "
        "have NHWC always: no other sums integers.",
    )
    precision = click.option(
        "--precision",
        type=click.Choice(["fp32", "fp16"], case_sensitive=False),
        default="fp32",
        show_default=True,
        help="fp16 computes in half precision, on boards that have it.",
    )
    return cast(Command, level(order(precision(with_options))))


def subject_options(command: Command) -> Command:
    """`--shape` and `--bind`, which fix a model's inputs."""
    shape = click.option(
        "--shape", "shapes", type=_Shape(), multiple=True, help="Fix an input's shape; repeatable."
    )
    bind = click.option(
        "--bind",
        "bindings",
        type=_Binding(),
        multiple=True,
        help="Make an input a constant: one number, or several with commas.",
    )
    return shape(bind(command))
