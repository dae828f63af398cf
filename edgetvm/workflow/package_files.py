"""Packages on the disk: their names where nobody says one, and their permissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from edgetvm.base.errors import UsageError
from edgetvm.base.files import storage_errors, write_bytes
from edgetvm.base.steps import warn
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.package.archive import Package, is_package

# A package with the C runtime for each target, one without, or a program with the package in it.
Form = Literal["whole", "bare", "executable"]


def package_path(
    name: str,
    profiles: Sequence[str],
    options: CompileOptions = DEFAULTS,
    tuned: bool = False,
    form: Form = "whole",
) -> Path:
    """`vision-ppocr-det-rpi4-O2-tuned.edgetvm`: in this folder, by all that makes it another one.

    Args:
        name: of the model.
        profiles: that it is compiled for.
        options: how it was compiled; what is as usual is left out.
        tuned: whether any of its schedules come from tuning.
        form: a program's name has no suffix.
    """
    unusual = (
        (f"O{options.opt_level}", options.opt_level != DEFAULTS.opt_level),
        (options.layout, options.layout != DEFAULTS.layout),
        (options.precision, options.precision != DEFAULTS.precision),
        ("tuned", tuned),
    )
    words = [name.replace("/", "-"), *profiles, *(word for word, is_so in unusual if is_so)]
    return Path("-".join(words) + ("" if form == "executable" else ".edgetvm"))


def check_replaceable(path: Path) -> None:
    """Refuse to write a package over what is none: a model, or a key.

    Raises:
        UsageError: the file exists, and neither is a package nor has its suffix.
        StorageError: it cannot be read.
    """
    if path.exists() and path.suffix != ".edgetvm" and not is_package(path):
        raise UsageError(
            "it exists and is no package", where=str(path), mend="choose another --output"
        )


def keep_package(package: Package, path: Path, form: Form = "whole", chosen: bool = False) -> None:
    """Write a package; warn where that replaces another one under a name that nobody chose.

    Args:
        form: a program may be executed.
        chosen: whether the user named the file.

    Raises:
        UsageError: it would replace what is no package.
        StorageError: the file cannot be written.
    """
    check_replaceable(path)
    with storage_errors(path):
        is_other = not chosen and path.exists() and path.read_bytes() != package.data
    write_bytes(path, package.data, 0o777 if form == "executable" else 0o666)
    if is_other:
        warn(f"{path} was another package, and is replaced: keep several apart with --output")
