"""Drawings: well-formed, inside their frame, with the right marks."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.report import svg
from edgetvm.report.scale import Scale, fitted

SVG = "{http://www.w3.org/2000/svg}"
samples = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=700)


def texts(drawing: str) -> list[str]:
    root = ElementTree.fromstring(drawing)  # noqa: S314
    assert root.tag == SVG + "svg" and root.get("role") == "img"
    assert root[0].tag == SVG + "title" and root[0].text
    assert not re.search("nan|inf(?!i)", re.sub(r">[^<]*<", "><", drawing))
    return [element.text or "" for element in root.iter(SVG + "text")]


def test_histogram_counts_and_labels_each_mark() -> None:
    drawing = svg.histogram([1.0] * 30 + [2.0] * 10, {"p50": 1.0, "p99": 2.0}, "t", "chunk")
    labels = texts(drawing)
    assert "p50 1.00 ms" in labels and "p99 2.00 ms" in labels and "chunks" in labels
    (outline,) = re.findall(r'class="data"[^>]* d="([^"]*)"', drawing)
    heights = [200 - float(y) for y in re.findall(r"V([\d.]+)h", outline)]
    assert len(heights) == 2 and heights[0] == pytest.approx(3 * heights[1], abs=0.2)


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    assert "ms, logarithmic" in texts(svg.histogram([1.0, 2.0, 500.0], {}, "t"))
    assert "ms, logarithmic" not in texts(svg.histogram([1.0, 2.0, 5.0], {}, "t"))


def test_sample_plot_draws_the_deadline_where_it_is_near() -> None:
    assert "deadline 4.00 ms" in texts(svg.sample_plot([1.0, 2.0], 4.0, "t"))
    far = svg.sample_plot([1.0, 2.0], 400.0, "t")
    assert "deadline 400 ms ↑ above this drawing" in texts(far) and "dasharray" not in far
    assert "deadline" not in svg.sample_plot([1.0, 2.0], None, "t")


def test_sample_plot_keeps_the_outliers_of_what_it_thins() -> None:
    values = [1.0] * 10_000
    values[4321] = 9.0
    drawing = svg.sample_plot(values, None, "t")
    assert svg.runs_per_mark(10_000) == 34 and len(drawing) < 8_000
    assert max(abs(int(h)) for h in re.findall(r"v(-?\d+)", drawing)) > 200


def test_bars_are_as_long_as_their_values() -> None:
    drawing = svg.bars([("open", 30.0, "30 ms"), ("run", 10.0, "10 ms")], "Cold start")
    long, short = map(float, re.findall(r"h([\d.]+)v14", drawing))
    assert long == pytest.approx(3 * short, abs=0.2)
    assert "<title>Cold start: open 30 ms; run 10 ms</title>" in drawing
    assert texts(drawing) == ["open", "30 ms", "run", "10 ms"]


def test_timeline_tells_each_duration() -> None:
    assert texts(svg.timeline([("compile", 185.0), ("upload", 0.4)], "Steps")) == [
        "compile",
        "3 min 05 s",
        "upload",
        "0.4 s",
    ]


def test_text_is_escaped_and_unprintable_letters_replaced() -> None:
    drawing = svg.bars([("<b>&\x00\x1b[31m", 1.0, "]]>")], "<script>\ufffe")
    assert texts(drawing)[0].startswith("<b>&\ufffd") and "<script>" not in drawing


@given(samples, st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_any_samples_can_be_drawn(values: list[float], deadline_ms: float | None) -> None:
    texts(svg.histogram(values, {"p50": values[0]}, "t"))
    texts(svg.sample_plot(values, deadline_ms, "t"))


@given(st.text(), st.floats(allow_nan=True, allow_infinity=True))
def test_any_bar_can_be_drawn(label: str, value: float) -> None:
    texts(svg.bars([(label, value, label)], label))


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.booleans())
def test_ticks_lie_on_the_axis_and_differ(a: float, b: float, zero: bool) -> None:
    scale = fitted(min(a, b), max(a, b), 0, 100, zero=zero)
    assert 2 <= len(scale.ticks()) <= 9
    assert all(0 <= scale(tick) <= 100 for tick in scale.ticks())
    assert len(set(scale.labels())) == len(scale.labels())


def test_scale_is_linear_or_logarithmic() -> None:
    assert Scale(0, 10, 0, 100)(2.5) == 25
    assert Scale(1, 100, 0, 100, log=True)(10) == pytest.approx(50)
    assert Scale(0, 10, 0, 100).labels() == ["0", "2", "4", "6", "8", "10"]
