"""Measurements as a terminal table, HTML, Markdown, CSV and JSON; tuning as HTML.

Rich and jinja2 are imported by the functions that need them, so importing this is cheap.
"""

from edgetvm.report.html import render_html
from edgetvm.report.layers import layer_tables
from edgetvm.report.peers import peer_lines, peer_tables
from edgetvm.report.pipelines import (
    pictures,
    pipeline_document,
    pipeline_facts,
    render_pipeline,
)
from edgetvm.report.real_time import real_time_tables
from edgetvm.report.table import summary_table, warning_lines
from edgetvm.report.text import render_csv, render_json, render_markdown
from edgetvm.report.tuning import check_page, render_tuning
from edgetvm.report.write import RENDERERS, check_format, write_report

__all__ = [
    "RENDERERS",
    "check_format",
    "check_page",
    "layer_tables",
    "peer_lines",
    "peer_tables",
    "pictures",
    "pipeline_document",
    "pipeline_facts",
    "real_time_tables",
    "render_csv",
    "render_html",
    "render_json",
    "render_markdown",
    "render_pipeline",
    "render_tuning",
    "summary_table",
    "warning_lines",
    "write_report",
]
