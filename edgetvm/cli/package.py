"""`edgetvm package`: one file to copy to the board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

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


@click.command("package", short_help="Write one verified file to copy to the board.")
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
    help="Package to write; MODEL-DEVICE.edgetvm in this folder without it.",
)
@json_option
def command(
    model: str,
    devices: tuple[str, ...],
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    allow_mismatch: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compile a model, compare it with its reference runtime, and write one verified file.

    A board takes the first target that fits it, in the order of --device.
    """
    from edgetvm.base.files import write_bytes
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import package_document, package_view
    from edgetvm.workflow import build_for_several, find_profile, find_subject

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        profiles = [find_profile(device) for device in devices]
        package = build_for_several(
            subject, profiles, lambda one: schedules(one, options), allow_mismatch, options
        )
        names = "-".join(profile.name for profile in profiles)
        path = output or Path(f"{subject.name.replace('/', '-')}-{names}.edgetvm")
        write_bytes(path, package.data)
    terminal.result(package_document(package, path), package_view(package, path))
