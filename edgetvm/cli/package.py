"""`edgetvm package`: one file to copy to the board, and what can be done with it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgetvm.base.errors import UsageError
from edgetvm.cli.options import (
    Bound,
    NewFile,
    compile_options,
    json_option,
    mismatch_option,
    subject_options,
    tuned_options,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions
    from edgetvm.package.crossbuild import Libc
    from edgetvm.workflow.package_files import Form

_file_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")


class _Package(click.Group):
    """A group whose first command may be left out: `edgetvm package MODEL` writes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *self.get_help_option_names(ctx)}:
            near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.7)
            if near and not Path(args[0]).exists():
                raise UsageError(
                    f"there is no command {args[0]!r}", mend=f"did you mean {near[0]!r}?"
                )
            args = ["write", *args]
        return super().parse_args(ctx, args)


@click.group("package", cls=_Package, short_help="Write one verified file to copy to the board.")
def command() -> None:
    """Packages: one verified file to copy to the board.

    \b
    edgetvm package MODEL [OPTIONS]     is edgetvm package write MODEL [OPTIONS]
    """


@command.command("write", short_help="Compile a model and write its package.")
@click.argument("model", metavar="MODEL|RECIPE")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("local",),
    show_default=True,
    metavar="NAME",
    help="Board, or board profile, to compile for; repeat it for several in one file.",
)
@subject_options
@compile_options
@tuned_options
@mismatch_option
@click.option(
    "-o",
    "--output",
    type=NewFile(),
    metavar="FILE",
    help="File to write; MODEL-DEVICE.edgetvm in this folder without it, and what is unusual "
    "in its name too: MODEL-DEVICE-O2-fp16-tuned.edgetvm.",
)
@click.option(
    "--executable",
    "form",
    flag_value="executable",
    help="Write one program with the model in it, for one device.",
)
@click.option(
    "--no-runtime",
    "form",
    flag_value="bare",
    help="Leave edgetvm-run out; the board then needs it, or edgetvm.",
)
@json_option
def write_command(
    model: str,
    devices: tuple[str, ...],
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    allow_mismatch: bool,
    output: Path | None,
    form: Form | None,
    as_json: bool,
) -> None:
    """Compile a model, compare it with its reference runtime, and write one verified file.

    A board takes the first target that fits it, in the order of --device. The file brings
    edgetvm-run, a static program that checks, tests, runs and times it there.

    \b
    edgetvm package model.onnx --device rpi4 --device rpi3-32    one file for both
    edgetvm package model.onnx --device rpi4 --executable        one program
    """
    from edgetvm.cli.package_views import package_document, package_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.compile.tuned import UNTUNED
    from edgetvm.workflow import (
        check_replaceable,
        find_profile,
        find_subject,
        keep_package,
        package_for,
        package_path,
    )

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        profiles = [find_profile(device) for device in devices]
        tuned = [schedules(profile, options) for profile in profiles]
        form = form or "whole"
        names, is_tuned = [one.name for one in profiles], any(one != UNTUNED for one in tuned)
        path = output or package_path(subject.name, names, options, is_tuned, form)
        check_replaceable(path)
        package = package_for(subject, profiles, tuned, allow_mismatch, options, form)
        keep_package(package, path, form, chosen=output is not None)
    terminal.result(package_document(package, path), package_view(package, path))


@command.command("inspect")
@_file_argument
@json_option
def inspect_command(file: Path, as_json: bool) -> None:
    """Verify a package and show all that it holds. `edgetvm inspect` shows its kernels."""
    from edgetvm.cli.package_views import package_document, whole_package_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import read_package

    package = read_package(file)
    Terminal(as_json).result(package_document(package, file), whole_package_view(package, file))


@command.command("verify", short_help="Verify a package: whole, unaltered, and its signature.")
@_file_argument
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PUBLIC.pem",
    help="Refuse it unless this key signed it.",
)
@json_option
def verify_command(file: Path, key: Path | None, as_json: bool) -> None:
    """Verify a package: whole, unaltered, and its signature, where it has one. Nothing is run.

    The signature of a single executable is of its program, too. Where it has none, only the package
    in it is verified.
    """
    from edgetvm.cli.package_views import package_document, verified_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import check_signer, read_package, read_public_key

    package = read_package(file)
    if key is not None:
        check_signer(package, read_public_key(key), str(file))
    Terminal(as_json).result(package_document(package, file), verified_view(package, file, key))


@command.command("diff", short_help="Show what differs between two packages.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def diff_command(ctx: click.Context, first: Path, second: Path, as_json: bool) -> None:
    """Show what differs between two packages: manifest, targets, kernels, members with sizes.

    Ends with 1 where anything does.
    """
    from edgetvm.cli.package_views import difference_document, difference_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import differences, read_package

    changes = differences(read_package(first), read_package(second))
    Terminal(as_json).result(difference_document(changes), difference_view(changes))
    ctx.exit(1 if changes else 0)


@command.command("sign")
@_file_argument
@click.option(
    "--key",
    "key_path",
    type=NewFile(),
    required=True,
    metavar="KEY.pem",
    help="Private Ed25519 key.",
)
@click.option("--new-key", is_flag=True, help="Make it, and KEY.pub.pem to give away.")
@json_option
def sign_command(file: Path, key_path: Path, new_key: bool, as_json: bool) -> None:
    """Sign a package, in its place. A signature that it has is replaced.

    \b
    edgetvm package sign model.edgetvm --key mine.pem --new-key    the first time
    edgetvm package sign model.edgetvm --key mine.pem
    edgetvm package verify model.edgetvm --key mine.pub.pem      by anybody
    """
    from edgetvm.base.files import write_bytes
    from edgetvm.cli.package_views import package_document, package_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import new_key as made_key
    from edgetvm.package import read_key, read_package, signed

    package = read_package(file)
    key = made_key(key_path) if new_key else read_key(key_path)
    write_bytes(file, signed(package, key), file.stat().st_mode & 0o777)
    package = read_package(file)
    Terminal(as_json).result(package_document(package, file), package_view(package, file))


@command.command("runtime", short_help="Write the C runtime for programs of your own.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--device",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Board, or board profile, to build for.",
)
@click.option(
    "--libc",
    type=click.Choice(["glibc", "musl"]),
    default="glibc",
    show_default=True,
    help="C library of the board. With musl, edgetvm-run is static and runs anywhere.",
)
@json_option
def runtime_command(folder: Path, device: str, libc: Libc, as_json: bool) -> None:
    """Write the C runtime to a new folder: libraries, headers, CMake and pkg-config files.

    It holds edgetvm-run and the Python binding, too. Nothing but edgetvm is needed to build it.
    """
    from edgetvm.cli.package_views import kit_document, kit_view
    from edgetvm.cli.terminal import Terminal
    from edgetvm.package import build_runtime, write_kit
    from edgetvm.workflow import find_profile

    terminal = Terminal(as_json)
    with terminal.steps():
        runtime = build_runtime(find_profile(device).architecture, libc)
        files = write_kit(folder, runtime)
    document = kit_document(folder, runtime, files)
    terminal.result(document, kit_view(document))
