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
    profile_option,
    subject_options,
    tuned_options,
)

if TYPE_CHECKING:
    from edgetvm.cli.options import Schedules
    from edgetvm.compile import CompileOptions


@click.command("package", short_help="Write one verified file to copy to the board.")
@click.argument("model", metavar="MODEL|RECIPE")
@profile_option
@subject_options
@compile_options
@tuned_options
@mismatch_option
@click.option(
    "-o",
    "--output",
    type=NewFile(),
    metavar="FILE",
    help="Package to write; MODEL-DEVICE.edgetvm in this folder without it, and what is unusual "
    "in its name too: MODEL-DEVICE-O2-fp16-tuned.edgetvm.",
)
@json_option
def command(
    model: str,
    profile: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    bindings: tuple[tuple[str, Bound], ...],
    options: CompileOptions,
    schedules: Schedules,
    allow_mismatch: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compile a model, compare it with its reference runtime, and write one verified file."""
    from edgetvm.base.files import write_bytes
    from edgetvm.cli.terminal import Terminal
    from edgetvm.cli.views import package_document, package_view
    from edgetvm.compile.tuned import UNTUNED
    from edgetvm.workflow import build, find_profile, find_subject, keep_package, package_path

    terminal = Terminal(as_json)
    with terminal.steps():
        subject = find_subject(model, dict(shapes), dict(bindings))
        target = find_profile(profile)
        tuned = schedules(target, options)
        built = build(subject, target, tuned, allow_mismatch, options)
        path = output or package_path(subject.name, [target.name], options, tuned != UNTUNED)
        if output is None:
            keep_package(built.package, path)
        else:
            write_bytes(path, built.package.data)
    terminal.result(package_document(built.package, path), package_view(built.package, path))
