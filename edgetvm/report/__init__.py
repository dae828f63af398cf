"""Measurements as a terminal table, HTML, Markdown, CSV and JSON.

Rich and jinja2 are imported by the functions that need them, so importing this is cheap.
"""

from edgetvm.report.html import render_html
from edgetvm.report.table import summary_table, warning_lines
from edgetvm.report.text import render_csv, render_json, render_markdown
from edgetvm.report.write import RENDERERS, check_format, write_report

__all__ = [
    "RENDERERS",
    "check_format",
    "render_csv",
    "render_html",
    "render_json",
    "render_markdown",
    "summary_table",
    "warning_lines",
    "write_report",
]
