"""Measurements as a terminal table, HTML, Markdown, CSV and JSON; tuning as HTML.

Rich and jinja2 are imported by the functions that need them, so importing this is cheap.
"""

from edgetvm.report.background import NO_BACKGROUND, Background, merged
from edgetvm.report.document import json_pieces, read_report, render_json
from edgetvm.report.google_benchmark import render_google_benchmark
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
from edgetvm.report.table import part_lines, summary_table, warning_lines
from edgetvm.report.tables import report_tables
from edgetvm.report.text import render_csv, render_markdown
from edgetvm.report.tuning import check_page, render_tuning
from edgetvm.report.write import RENDERERS, check_format, write_report

__all__ = [
    "NO_BACKGROUND",
    "RENDERERS",
    "Background",
    "check_format",
    "check_page",
    "json_pieces",
    "layer_tables",
    "merged",
    "part_lines",
    "peer_lines",
    "peer_tables",
    "pictures",
    "pipeline_document",
    "pipeline_facts",
    "read_report",
    "real_time_tables",
    "render_csv",
    "render_google_benchmark",
    "render_html",
    "render_json",
    "render_markdown",
    "render_pipeline",
    "render_tuning",
    "report_tables",
    "summary_table",
    "warning_lines",
    "write_report",
]
