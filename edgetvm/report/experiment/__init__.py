"""What came of an experiment: for a terminal, as HTML, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgetvm.base.files import write_text
from edgetvm.measure.experiment.rows import Results
from edgetvm.report.experiment.document import experiment_document
from edgetvm.report.experiment.page import render_experiment_html
from edgetvm.report.experiment.terminal import experiment_lines, experiment_tables
from edgetvm.report.experiment.text import (
    render_experiment_csv,
    render_experiment_json,
    render_experiment_markdown,
)
from edgetvm.report.write import check_format

__all__ = [
    "check_experiment_format",
    "experiment_document",
    "experiment_lines",
    "experiment_tables",
    "render_experiment_csv",
    "render_experiment_html",
    "render_experiment_json",
    "render_experiment_markdown",
    "write_experiment",
]

_RENDERERS: Mapping[str, Callable[[Results], str]] = {
    "html": render_experiment_html,
    "md": render_experiment_markdown,
    "csv": render_experiment_csv,
    "json": render_experiment_json,
}


def check_experiment_format(path: Path) -> str:
    """The format of an experiment's report, told by the file's name.

    Raises:
        UsageError: there is no such format or folder.
    """
    return check_format(path, formats=_RENDERERS.keys())


def write_experiment(results: Results, path: Path) -> None:
    """Write a report, its format told by the file's name; whole or not at all.

    Raises:
        UsageError: there is no such format or folder.
        StorageError: the file cannot be written.
    """
    write_text(path, _RENDERERS[check_experiment_format(path)](results))
