"""Drawings as SVG text. Pure functions: the same figures give the same drawing."""

from edgetvm.report.charts.bars import Bar, bars
from edgetvm.report.charts.confusion import confusion_matrix
from edgetvm.report.charts.curve import Day, descent, history
from edgetvm.report.charts.distribution import MOST_POINTS, Percentile, distribution, percentiles_of
from edgetvm.report.charts.over_time import MOST_MARKS, Course, Strip, over_time, samples_per_mark
from edgetvm.report.charts.roofline import Work, roofline
from edgetvm.report.charts.scatter import Spot, pareto_front, scatter
from edgetvm.report.charts.stream import ChunkTimes, stream_timeline
from edgetvm.report.charts.track import track

__all__ = [
    "MOST_MARKS",
    "MOST_POINTS",
    "Bar",
    "ChunkTimes",
    "Course",
    "Day",
    "Percentile",
    "Spot",
    "Strip",
    "Work",
    "bars",
    "confusion_matrix",
    "descent",
    "distribution",
    "history",
    "over_time",
    "pareto_front",
    "percentiles_of",
    "roofline",
    "samples_per_mark",
    "scatter",
    "stream_timeline",
    "track",
]
