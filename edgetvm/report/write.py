"""One report file, its format told by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.files import write_text, written_aside
from edgetvm.measure.measurement import Measurement
from edgetvm.report.html import render_html
from edgetvm.report.text import json_pieces, render_csv, render_json, render_markdown

# A format is called as its file name ends.
RENDERERS: Mapping[str, Callable[[Sequence[Measurement]], str]] = {
    "html": render_html,
    "md": render_markdown,
    "csv": render_csv,
    "json": render_json,
}


def check_format(path: Path, format: str | None = None) -> str:
    """The format of a report file: one of `RENDERERS`.

    Args:
        format: the format itself; None to tell it from the suffix of `path`.

    Raises:
        UsageError: no such format, or its folder does not exist.
    """
    name = (path.suffix[1:] if format is None else format).lower()
    if name not in RENDERERS:
        known = ", ".join(RENDERERS)
        what = f"there is no report format {name!r}" if name else "the format cannot be told"
        raise UsageError(what, where=str(path), mend=f"end the file's name in one of: {known}")
    if not path.absolute().parent.is_dir():
        raise UsageError("its folder does not exist", where=str(path), mend="make it first")
    return name


def write_report(
    measurements: Sequence[Measurement], path: Path, format: str | None = None
) -> None:
    """Write the measurements to `path`, whole or not at all.

    Args:
        format: one of `RENDERERS`; None to tell it from the suffix of `path`.

    Raises:
        UsageError: no such format or folder, or no measurements.
        StorageError: the file cannot be written.
    """
    name = check_format(path, format)
    if name != "json":
        write_text(path, RENDERERS[name](measurements))
        return
    # Samples may be more than memory holds.
    with written_aside(path) as file:
        file.writelines(piece.encode() for piece in json_pieces(measurements))
