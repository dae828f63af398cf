"""Drawings: well-formed, inside their frame, with the right marks, no label on another."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetvm.report import charts
from edgetvm.report.charts.scale import Scale, ShareScale, fitted

SVG = "{http://www.w3.org/2000/svg}"
samples = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=700)
positive = st.floats(1e-6, 1e6)


def parsed(drawing: str) -> ElementTree.Element:
    """The drawing, after all that must hold for any."""
    root = ElementTree.fromstring(drawing)  # noqa: S314
    assert root.tag == SVG + "svg" and root.get("role") == "img"
    assert root[0].tag == SVG + "title" and root[0].text
    assert not re.search("nan|inf(?!i)", re.sub(r">[^<]*<", "><", drawing))
    assert "style=" not in re.sub(r">[^<]*<", "><", drawing)
    return root


def texts(drawing: str) -> list[str]:
    return [element.text or "" for element in parsed(drawing).iter(SVG + "text")]


def circles(drawing: str) -> list[tuple[float, float, float]]:
    found = parsed(drawing).iter(SVG + "circle")
    return [tuple(float(one.get(name) or 0) for name in ("cx", "cy", "r")) for one in found]  # type: ignore[misc]


def plotted(drawing: str) -> list[tuple[float, float]]:
    """Vertices of its line, in pixels."""
    (path,) = re.findall(r'class="stroke"[^>]* d="M([^"]*)"', drawing)
    numbers = [int(one) for one in re.findall(r"-?\d+", path)]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [
        (x / 2, y / 2)
        for x, y in itertools.accumulate(pairs, lambda a, b: (a[0] + b[0], a[1] + b[1]))
    ]


def test_a_distribution_shows_its_percentiles_where_the_curve_is() -> None:
    values = [float(one) for one in range(1, 1001)]
    marks = charts.percentiles_of(
        {0.5: 501.0, 0.9: 901.0, 0.99: 991.0}, {"p90": (880.0, 917.0)}, (0.9, 921.0)
    )
    drawing = charts.distribution(values, marks, "t", "chunk")
    labels = texts(drawing)
    assert {"p50 501 ms", "p90 901 ms (≤ 921 ms)", "p99 991 ms"} <= set(labels)
    assert {"1", "50", "99", "99.9"} <= set(labels)
    curve = plotted(drawing)
    assert len(curve) <= charts.MOST_POINTS + 2
    for x, y, _ in circles(drawing):
        assert min(math.hypot(x - a, y - b) for a, b in curve) < 6


def test_a_thinned_distribution_keeps_both_ends() -> None:
    many = [1.0] * 50_000 + [2.0] * 49_999 + [9.0]
    curve = plotted(charts.distribution(many, [], "t"))
    assert len(curve) <= charts.MOST_POINTS + 2
    assert curve[0][0] == pytest.approx(min(x for x, _ in curve))
    right = fitted(1.0, 9.0, 52, 536)(9.0)
    assert curve[-1] == pytest.approx((right, 30), abs=1)


@given(samples)
def test_a_distribution_never_falls(values: list[float]) -> None:
    curve = plotted(charts.distribution(values, [], "t"))
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in itertools.pairwise(curve))


def test_the_axis_of_shares_is_its_own_inverse() -> None:
    axis = ShareScale(0.9995, 210, 30)
    for share in (0.01, 0.1, 0.5, 0.9, 0.99, 0.9995):
        assert axis.share(axis(share)) == pytest.approx(share, rel=1e-9)
    assert axis(0.5) - axis(0.9) == pytest.approx(axis(0.1) - axis(0.5))


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    assert "ms, logarithmic" in texts(charts.distribution([1.0, 2.0, 500.0], [], "t"))
    assert "ms, logarithmic" not in texts(charts.distribution([1.0, 2.0, 5.0], [], "t"))


def course(values: list[float], **more: object) -> charts.Course:
    return charts.Course(list(range(len(values))), values, "run", "run", **more)  # type: ignore[arg-type]


def test_samples_over_time_draw_the_deadline_where_it_is_near() -> None:
    assert "deadline 4.00 ms" in texts(charts.over_time(course([1.0, 2.0]), 4.0, "t"))
    far = charts.over_time(course([1.0, 2.0]), 400.0, "t")
    assert "deadline 400 ms ↑ above this drawing" in texts(far) and "dasharray" not in far
    assert "deadline" not in charts.over_time(course([1.0, 2.0]), None, "t")


def test_samples_over_time_keep_the_outliers_of_what_they_thin() -> None:
    values = [1.0] * 10_000
    values[4321] = 9.0
    drawing = charts.over_time(course(values), None, "t")
    assert charts.samples_per_mark(10_000) == 34 and len(drawing) < 8_000
    assert max(abs(int(h)) for h in re.findall(r"v(-?\d+)", drawing)) > 200


def test_heat_and_clocks_lie_under_the_samples_that_they_are_of() -> None:
    heat = charts.Strip("temperature, °C", ((0, 45.0, 45.0), (5, 81.5, 81.5), (9, 60.0, 60.0)))
    drawing = charts.over_time(
        course([1.0] * 10, invalid=[(4, 6)], strips=[heat, charts.Strip("MHz", ((0, 600, 1800),))]),
        None,
        "t",
    )
    assert {"temperature, °C: 45 to 81.5", "MHz: 600 to 1800"} <= set(texts(drawing))
    (washed,) = re.findall(r'class="invalid"[^>]*d="M([\d.]+) [\d.]+h([\d.]+)', drawing)
    begin, width = map(float, washed)
    (band,) = re.findall(r'class="strip"[^>]* d="M([^"]*)"', drawing)[:1]
    numbers = [int(one) for one in re.findall(r"-?\d+", band)]
    hottest_x = (numbers[0] + numbers[2]) / 2
    assert begin < hottest_x < begin + width


def test_bars_are_as_long_as_their_values_and_marked_at_their_bounds() -> None:
    rows = [charts.Bar("open", 30.0, "30 ms", 15.0), charts.Bar("run", 10.0, "10 ms")]
    drawing = charts.bars(rows, "Cold start")
    long, short = map(float, re.findall(r"h([\d.]+)v14", drawing))
    assert long == pytest.approx(3 * short, abs=0.2)
    (mark,) = re.findall(r"M([\d.]+) 1v20", drawing)
    assert float(mark) == pytest.approx(120 + long / 2, abs=0.2)
    assert "<title>Cold start: open 30 ms; run 10 ms</title>" in drawing
    assert texts(drawing) == ["open", "30 ms", "run", "10 ms"]


def spot(x: float, y: float, label: str = "m", group: str = "") -> charts.Spot:
    return charts.Spot(x, y, 1e6, label, f"{label}: {x} ms", group)


places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30)


@given(places, st.booleans())
def test_the_front_is_what_no_other_beats(
    pairs: list[tuple[int, int]], more_is_better: bool
) -> None:
    spots = [spot(x, y) for x, y in pairs]
    sign = 1 if more_is_better else -1

    def beaten(one: charts.Spot) -> bool:
        return any(
            other.x <= one.x
            and sign * other.y >= sign * one.y
            and (other.x, other.y) != (one.x, one.y)
            for other in spots
        )

    front = charts.pareto_front(spots, more_is_better=more_is_better)
    assert sorted(front) == [at for at, one in enumerate(spots) if not beaten(one)]
    assert [spots[at].x for at in front] == sorted(spots[at].x for at in front)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=40))
def test_no_label_of_a_scatter_lies_on_another_or_outside(
    pairs: list[tuple[float, float]],
) -> None:
    spots = [spot(x, y, f"model number {at}", f"b{at % 3}") for at, (x, y) in enumerate(pairs)]
    drawing = charts.scatter(spots, "t", "ms", "%")
    assert len(circles(drawing)) == len(spots) + min(3, len(pairs)) * (len(pairs) > 1)
    labels = [
        (float(one.get("x") or 0), float(one.get("y") or 0), len(one.text or "") * 6.5)
        for one in parsed(drawing).iter(SVG + "text")
        if (one.text or "").startswith("model number")
    ]
    assert labels
    assert all(x >= 0 and x + wide <= 560 for x, _, wide in labels)
    for (x, y, wide), (x2, y2, wide2) in itertools.combinations(labels, 2):
        assert x + wide <= x2 or x2 + wide2 <= x or abs(y - y2) >= 13


def test_what_came_and_what_was_predicted_are_two_lines_of_the_last_steps() -> None:
    came = [100 + 10 * math.sin(step / 20) for step in range(400)]
    drawing = charts.track(came, [one + 1 for one in came], "t")
    real, _, predicted, _ = re.findall(r'<path [^>]*transform[^>]* d="([^"]*)"', drawing)
    rows = []
    for path in (real, predicted):
        moves = [int(one) for one in re.findall(r"-?\d+", path)]
        assert len(moves) == 2 * 250
        rows.append(list(itertools.accumulate(moves[1::2])))
    # One lies above the other, as far everywhere but for half a pixel.
    apart = {below - above for below, above in zip(*rows, strict=True)}
    assert min(apart) > 5 and max(apart) - min(apart) <= 1
    for value in (-5.0, 0.0, 7.0):
        parsed(charts.track([value] * 10, [value] * 10, "t"))


def test_a_matrix_of_confusion_has_each_count_in_its_cell() -> None:
    drawing = charts.confusion_matrix(["cat", "dog"], [[7, 11], [0, 17]], "t")
    assert {"cat", "dog", "7", "11", "17"} <= set(texts(drawing)) and "0" not in texts(drawing)
    cells = dict(zip(("7", "11", "17"), [(0, 0), (0, 1), (1, 1)], strict=True))
    for one in parsed(drawing).iter(SVG + "text"):
        if one.text in cells:
            row, column = cells[one.text]
            assert float(one.get("x") or 0) == pytest.approx(150 + (column + 0.5) * 34, abs=1)
            assert float(one.get("y") or 0) == pytest.approx(96 + (row + 0.5) * 34 + 4, abs=1)


def test_operators_lie_under_the_roof_that_bounds_them() -> None:
    # 8 GB/s and 64 GFLOP/s meet at 8 operations a byte.
    works = [charts.Work(1.0, 8.0, 0.5, "bound by memory"), charts.Work(64.0, 64.0, 0.5, "by ALUs")]
    drawing = charts.roofline(works, 64.0, 8.0, "t")
    roof = plotted_roof(drawing)
    (x1, y1, _), (x2, y2, _) = circles(drawing)
    assert "64 GFLOP/s, 8 GB/s" in texts(drawing)
    slope = (roof[1][1] - roof[0][1]) / (roof[1][0] - roof[0][0])
    assert y1 == pytest.approx(roof[0][1] + slope * (x1 - roof[0][0]), abs=1)
    assert y2 == pytest.approx(roof[2][1], abs=1) and x2 > roof[1][0]


def plotted_roof(drawing: str) -> list[tuple[float, float]]:
    (path,) = re.findall(r'transform="scale\(.5\)" d="M([^"]*)"', drawing)
    numbers = [int(one) for one in re.findall(r"-?\d+", path)]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    steps = itertools.accumulate(pairs, lambda a, b: (a[0] + b[0], a[1] + b[1]))
    return [(x / 2, y / 2) for x, y in steps]


def test_late_and_lost_chunks_stand_out() -> None:
    chunks = [
        charts.ChunkTimes(0, 20.0, 40.0, 20.0, 30.0),
        charts.ChunkTimes(0, 40.0, 60.0, 40.0, 65.0),
        charts.ChunkTimes(0, 60.0, 80.0, None, None),
    ]
    drawing = charts.stream_timeline(chunks, "t")
    (late,) = re.findall(r'class="late"[^>]* d="([^"]*)"', drawing)
    (kept,) = re.findall(r'class="data"[^>]* d="([^"]*)"', drawing)
    (lost,) = re.findall(r'class="deadline"[^>]* d="([^"]*)"', drawing)
    assert late.count("M") == kept.count("M") == lost.count("M") == 1
    widths = [float(re.findall(r"h([\d.]+)v10", one)[0]) for one in (kept, late)]
    assert widths[1] == pytest.approx(2.5 * widths[0], rel=0.01)


def test_text_is_escaped_and_unprintable_letters_replaced() -> None:
    drawing = charts.bars([charts.Bar("<b>&\x00\x1b[31m", 1.0, "]]>")], "<script>\ufffe")
    assert texts(drawing)[0].startswith("<b>&\ufffd") and "<script>" not in drawing
    evil = charts.scatter([spot(1, 1, "<b>", "</svg>"), spot(2, 2, "x", "y")], "t", "<i>", "&")
    assert "<b>" in texts(evil) and "<b>" not in evil


@given(samples, st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_any_samples_can_be_drawn(values: list[float], deadline_ms: float | None) -> None:
    parsed(charts.distribution(values, [charts.Percentile(0.5, values[0])], "t"))
    parsed(charts.over_time(course(values), deadline_ms, "t"))
    days = [charts.Day(at, one, one, bool(at % 2)) for at, one in enumerate(values)]
    parsed(charts.history(days, "t"))


@given(st.text(), st.floats(allow_nan=True, allow_infinity=True))
def test_any_bar_or_spot_can_be_drawn(label: str, value: float) -> None:
    parsed(charts.bars([charts.Bar(label, value, label)], label or "t"))
    parsed(charts.scatter([spot(value, value, label, label)], "t", "x", "y"))
    parsed(charts.confusion_matrix([label], [[1]], "t"))


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
