"""Where a package is written if nobody says where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgetvm.base.files import storage_errors, write_bytes
from edgetvm.base.steps import warn
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.package.archive import Package


def package_path(
    name: str,
    profiles: Sequence[str],
    options: CompileOptions = DEFAULTS,
    tuned: bool = False,
    runs: bool = False,
) -> Path:
    """`vision-ppocr-det-rpi4-O2-tuned.edgetvm`: in this folder, by all that makes it another one.

    Args:
        name: of the model.
        profiles: that it is compiled for.
        options: how it was compiled; what is as usual is left out.
        tuned: whether any of its schedules come from tuning.
        runs: whether it is a program, which has no suffix.
    """
    unusual = (
        (f"O{options.opt_level}", options.opt_level != DEFAULTS.opt_level),
        (options.layout, options.layout != DEFAULTS.layout),
        (options.precision, options.precision != DEFAULTS.precision),
        ("tuned", tuned),
    )
    words = [name.replace("/", "-"), *profiles, *(word for word, is_so in unusual if is_so)]
    return Path("-".join(words) + ("" if runs else ".edgetvm"))


def keep_package(package: Package, path: Path, mode: int = 0o666) -> None:
    """Write a package under a name that nobody chose; warn where that replaces another one.

    Raises:
        StorageError: the file cannot be written.
    """
    with storage_errors(path):
        is_other = path.exists() and path.read_bytes() != package.data
    write_bytes(path, package.data, mode)
    if is_other:
        warn(f"{path} was another package, and is replaced: keep several apart with --output")
