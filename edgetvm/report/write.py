"""One report file, its format told by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.files import write_text, written_aside
from edgetvm.measure.measurement import Measurement
from edgetvm.report.background import NO_BACKGROUND, Background
from edgetvm.report.document import json_pieces, render_json
from edgetvm.report.google_benchmark import render_google_benchmark
from edgetvm.report.html import render_html
from edgetvm.report.text import render_csv, render_markdown

Renderer = Callable[[Sequence[Measurement], Background], str]
# A format is called as its file name ends; of two that fit the longer one is meant.
RENDERERS: Mapping[str, Renderer] = {
    "html": render_html,
    "md": render_markdown,
    "csv": render_csv,
    "json": render_json,
    "gbench.json": render_google_benchmark,
}


def check_format(
    path: Path, format: str | None = None, formats: Collection[str] = RENDERERS.keys()
) -> str:
    """The format of a report file: one of `formats`.

    Args:
        format: the format itself; None to tell it from how the name of `path` ends.
        formats: that this kind of report has.

    Raises:
        UsageError: no such format, or its folder does not exist.
    """
    ends = path.name.lower() if format is None else f".{format.lower()}"
    fitting = [one for one in RENDERERS if ends.endswith(f".{one}")]
    chosen = max(fitting, key=len, default="")
    if chosen not in formats:
        known = ", ".join(formats)
        name = chosen or (path.suffix[1:] if format is None else format)
        what = f"there is no report format {name!r}" if name else "the format cannot be told"
        raise UsageError(what, where=str(path), mend=f"end the file's name in one of: {known}")
    if not path.absolute().parent.is_dir():
        raise UsageError("its folder does not exist", where=str(path), mend="make it first")
    return chosen


def write_report(
    measurements: Sequence[Measurement],
    path: Path,
    format: str | None = None,
    background: Background = NO_BACKGROUND,
) -> None:
    """Write the measurements to `path`, whole or not at all.

    Args:
        format: one of `RENDERERS`; None to tell it from how the name of `path` ends.
        background: told beside them; see `edgetvm.workflow.reporting`.

    Raises:
        UsageError: no such format or folder, or no measurements.
        StorageError: the file cannot be written.
    """
    name = check_format(path, format)
    if name != "json":
        write_text(path, RENDERERS[name](measurements, background))
        return
    # Samples may be more than memory holds.
    with written_aside(path) as file:
        file.writelines(piece.encode() for piece in json_pieces(measurements, background))
